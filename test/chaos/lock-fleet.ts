import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Redis } from 'ioredis';
import { holds, rejectsPlanted, type Verdict } from '../support/chaos.js';
import { unexplained, type DataLoss } from '../support/data-loss.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { checkIntervals, readHistory, type Interval } from '../support/history.js';

export const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'];
export const LEASE_MS = 400;
const WORKERS = 8;
/** How soon every lock must be free again once nothing disturbs: a lease, a provisional grant, and slow machines. */
const HEALED_WITHIN_MS = 10_000;

/** Processes that compete for a few locks without end, and the books they keep. */
export class LockFleet {
  /** When holds could get lost without anyone's fault. */
  readonly losses: DataLoss[] = [];
  readonly #url: string;
  readonly #dir = mkdtempSync(join(tmpdir(), 'sluice-chaos-lock-'));
  #workers: ForkedApp[] = [];
  /** Of each living process: what is still at work. */
  readonly #work = new Map<ForkedApp, Promise<unknown>>();
  #born = 0;

  constructor(url: string) {
    this.#url = url;
  }

  any(random: number): ForkedApp {
    const worker = this.#workers[Math.floor(random * this.#workers.length)];
    if (worker === undefined) throw new Error('the fleet is empty');
    return worker;
  }

  async replace(victim: ForkedApp): Promise<void> {
    await victim.kill();
    this.#work.delete(victim);
    this.#workers = this.#workers.filter((app) => app !== victim);
    await this.fill();
  }

  async fill(): Promise<void> {
    while (this.#workers.length < WORKERS) {
      const env = { REDIS_URL: this.#url, HISTORY_DIR: this.#dir, WORKER: `worker-${++this.#born}` };
      const app = await forkApp('lock-worker', { env });
      this.#workers.push(app);
      const work = NAMES.map((name) =>
        app.call('hammer', { name, waiters: 2, rounds: Infinity, holdMs: 3, ttlMs: LEASE_MS }),
      );
      this.#work.set(app, Promise.allSettled(work));
    }
  }

  /** Locks granted until now, by those that can say so. */
  async grants(): Promise<number> {
    return readHistory(this.#dir).length;
  }

  /** Ends the work, lets each process take each lock, and judges the books. */
  async verdicts(admin: Redis, atLeast: number): Promise<Verdict[]> {
    const unserved = await this.#finish();
    const intervals = readHistory(this.#dir);
    const violations = unexplained(checkIntervals(intervals), this.losses);
    const left = (await admin.keys('*')).filter((key) => !key.endsWith(':~fence'));
    const overlaps = violations.filter(({ kind }) => kind === 'overlap');
    const stale = violations.filter(({ kind }) => kind === 'token');
    const planted = unexplained(checkIntervals([...intervals, ...intruders(intervals)]), this.losses);
    return [
      holds('no two hold one lock at a time', overlaps.length === 0, show(overlaps)),
      holds('fencing tokens strictly increase', stale.length === 0, show(stale)),
      holds('locks were granted all along', intervals.length >= atLeast, `${intervals.length} grants`),
      holds('once nothing disturbs, every waiter is served', unserved.length === 0, list(unserved)),
      holds('nothing is left but fences', left.length === 0, list(left)),
      rejectsPlanted(
        'a second holder in the middle of a hold',
        planted.filter(({ kind }) => kind === 'overlap'),
      ),
      rejectsPlanted(
        'a token that was there before',
        planted.filter(({ kind }) => kind === 'token'),
      ),
    ];
  }

  async end(): Promise<void> {
    await Promise.all(this.#workers.map((app) => app.kill()));
    rmSync(this.#dir, { recursive: true });
  }

  async #finish(): Promise<string[]> {
    const failures: string[] = [];
    const within = async (what: string, work: Promise<unknown>): Promise<void> => {
      const late = new Promise<string>((resolve) => setTimeout(resolve, HEALED_WITHIN_MS, 'it did not come'));
      const done = work.then(
        () => undefined,
        (error: unknown) => String(error),
      );
      const failure = await Promise.race([done, late]);
      if (failure !== undefined) failures.push(`${what}: ${failure}`);
    };
    await Promise.all(this.#workers.map((app) => app.call('finish')));
    await Promise.all([...this.#work].map(([app, work]) => within(`${app.name} ends its work`, work)));
    for (const app of this.#workers) {
      for (const name of NAMES) {
        await within(
          `${app.name} ${name}`,
          app.call('take', name, LEASE_MS).then(() => app.call('drop')),
        );
      }
    }
    await Promise.all(this.#workers.map((app) => within(`${app.name} exits`, app.stop())));
    return failures;
  }
}

/** Somebody in the middle of the longest hold, and somebody after it with its token. */
function intruders(intervals: readonly Interval[]): Interval[] {
  const long = intervals.reduce((a, b) => (b.to - b.from > a.to - a.from ? b : a));
  const middle = (long.from + long.to) / 2n;
  return [{ ...long, from: middle, to: middle + 1n, by: 'an intruder' }];
}

const list = (texts: readonly string[]): string | undefined =>
  texts.length > 0 ? `${texts.length}: ${texts.slice(0, 5).join('; ')}` : undefined;

function show(violations: readonly unknown[]): string | undefined {
  if (violations.length === 0) return undefined;
  const text = JSON.stringify(violations.slice(0, 3), (_key, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  return `${violations.length}: ${text}`;
}
