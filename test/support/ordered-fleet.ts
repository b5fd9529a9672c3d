import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OrderedWork } from '../apps/ordered-worker.js';
import { forkApp, type ForkedApp } from './fork-app.js';
import { readHistory, type Interval } from './history.js';
import { checkLedger, readLedger } from './ledger.js';
import { Ordered } from './ordered-queues.js';
import { startQueueApp, type QueueApp } from './queue-app.js';

/** Processes that share an ordered queue, and the merged history of all their runs. */
export class OrderedFleet {
  readonly #dir = mkdtempSync(join(tmpdir(), 'sluice-ordered-'));
  readonly #url: string;
  readonly #env: Record<string, string>;
  readonly #operator: QueueApp;
  readonly #ids: string[] = [];
  /** Processes that stood still for longer than a lease: what they ran then may overlap with what others ran. */
  readonly #stopped = new Set<string>();
  workers: ForkedApp[] = [];
  kills = 0;

  private constructor(url: string, env: Record<string, string>, operator: QueueApp) {
    this.#url = url;
    this.#env = env;
    this.#operator = operator;
    writeFileSync(this.ledger, '');
  }

  static async open(url: string, env: Record<string, string> = {}): Promise<OrderedFleet> {
    return new OrderedFleet(url, env, await startQueueApp({ url, queue: { consumers: false } }));
  }

  get ledger(): string {
    return join(this.#dir, 'ledger');
  }

  /** How many tasks have succeeded. */
  get succeeded(): number {
    return readLedger(this.ledger).length;
  }

  /** Starts processes until there are so many. */
  async fill(size: number): Promise<void> {
    const env = { REDIS_URL: this.#url, LEDGER: this.ledger, HISTORY: join(this.#dir, 'history'), ...this.#env };
    const missing = Array.from({ length: size - this.workers.length }, () => forkApp('ordered-worker', { env }));
    this.workers.push(...(await Promise.all(missing)));
  }

  async publish(work: readonly OrderedWork[]): Promise<void> {
    const { queue } = this.#operator;
    const isOrdered = this.#env['PER_KEY'] === undefined && this.#env['KEY_RATE'] === undefined;
    this.#ids.push(...(await (isOrdered ? queue.publishMany(Ordered, work) : queue.publishMany('tasks', work))));
  }

  /** Tasks that were lost, or ran more often than the kills explain. */
  lost(perKill: number): string[] {
    const breaches = checkLedger(this.#ids, readLedger(this.ledger), this.kills * perKill);
    return breaches.map((each) => JSON.stringify(each));
  }

  async killOne(at: number): Promise<void> {
    const [victim] = this.workers.splice(at % this.workers.length, 1);
    await victim?.kill();
    this.kills++;
  }

  /** Stops a process for some time. */
  async pauseOne(at: number, ms: number, isLong: boolean): Promise<void> {
    const victim = this.workers[at % this.workers.length];
    if (victim === undefined) return;
    if (isLong) this.#stopped.add(String(victim.pid));
    victim.pause();
    await new Promise((resolve) => setTimeout(resolve, ms));
    victim.resume();
  }

  async isDone(): Promise<boolean> {
    const { running, waiting, delayed } = await this.#operator.queue.counts(Ordered);
    return running + waiting + delayed === 0;
  }

  /** What is wrong with the order of the runs, and with their number. `perKill`: how many runs a kill may repeat. */
  violations(perKill: number): string[] {
    const history = this.history();
    const { LEASE_MS = '5000' } = this.#env;
    const still = stoodStill(history, Number(LEASE_MS));
    const processes = new Set([...this.#stopped, ...[...still].map(({ by }) => by)]);
    const breaches = checkLedger(this.#ids, readLedger(this.ledger), (this.kills + processes.size) * perKill);
    return [...breaches.map((each) => JSON.stringify(each)), ...brokenOrders(history, this.#stopped, still)];
  }

  history(): Interval[] {
    return readHistory(join(this.#dir, 'history'));
  }

  async close(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.kill()));
    await this.#operator.app.close();
    rmSync(this.#dir, { recursive: true });
  }
}

/**
 * The runs in which their process wrote nothing into its history for so long: it stood still, because the machine was busy with others.
 * Runs are much shorter, and there are several at a time.
 */
export function stoodStill(history: readonly Interval[], ms: number): Set<Interval> {
  const still = new Set<Interval>();
  for (const by of new Set(history.map((run) => run.by))) {
    const own = history.filter((run) => run.by === by);
    const written = own.flatMap(({ from, to }) => [from, to]).sort((a, b) => (a < b ? -1 : 1));
    written.forEach((at, i) => {
      const next = written[i + 1];
      if (next === undefined || Number(next - at) < ms * 1e6) return;
      for (const run of own) if (run.from <= at && run.to >= next) still.add(run);
    });
  }
  return still;
}

/**
 * Runs of one key that overlap, or that began after a run of a later task of the key. A run of a process that stood still for longer than
 * its lease may overlap with those that came after it.
 */
export function brokenOrders(
  history: readonly Interval[],
  stopped: ReadonlySet<string> = new Set(),
  still: ReadonlySet<Interval> = new Set(),
): string[] {
  const byKey = new Map<string, Interval[]>();
  for (const each of history) {
    const list = byKey.get(each.name);
    if (list) list.push(each);
    else byKey.set(each.name, [each]);
  }
  const broken: string[] = [];
  for (const [key, runs] of byKey) {
    runs.sort((a, b) => (a.from < b.from ? -1 : 1));
    let before: Interval | undefined;
    let latest = -1;
    for (const run of runs) {
      const n = run.token ?? -1;
      if (before !== undefined && run.from < before.to) broken.push(`${key}: ${n} began while ${before.token} ran`);
      if (n < latest) broken.push(`${key}: ${n} began after ${latest}`);
      latest = Math.max(latest, n);
      if (!stopped.has(run.by) && !still.has(run) && (before === undefined || run.to > before.to)) before = run;
    }
  }
  return broken;
}

/** The most runs of one key at one instant. */
export function mostOfOneKey(history: readonly Interval[]): number {
  const steps = history.flatMap(({ name, from, to }) => [
    { name, at: from, by: 1 },
    { name, at: to, by: -1 },
  ]);
  steps.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : a.by - b.by));
  const now = new Map<string, number>();
  let most = 0;
  for (const { name, by } of steps) {
    const count = (now.get(name) ?? 0) + by;
    now.set(name, count);
    most = Math.max(most, count);
  }
  return most;
}

/** The shortest time, in ms, in which one key had a start more than `limit`. */
export function shortestWindow(history: readonly Interval[], limit: number): number {
  const byKey = new Map<string, number[]>();
  for (const { name, from } of history) byKey.set(name, [...(byKey.get(name) ?? []), Number(from) / 1e6]);
  const spans = [...byKey.values()].flatMap((of) => {
    const starts = of.sort((a, b) => a - b);
    return starts.slice(limit).map((at, i) => at - (starts[i] ?? 0));
  });
  return Math.min(...spans);
}

/** `tasks` tasks of each of `keys` keys, the keys in turn. Some fail once or twice. */
export function orderedWork(keys: number, tasks: number, random: () => number, msMost: number): OrderedWork[] {
  return Array.from({ length: tasks }, (_, n) =>
    Array.from({ length: keys }, (__, k) => ({
      ...{ key: `key ${k}`, n, ms: Math.floor(random() * msMost) },
      ...(random() < 0.06 && { failures: 1 + Math.floor(random() * 2) }),
    })),
  ).flat();
}
