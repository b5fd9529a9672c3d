import type { Redis } from 'ioredis';
import type { QueueService } from 'nestjs-sluice/queue';
import { setTimeout as pause } from 'node:timers/promises';
import { Books } from '../../support/books.js';
import { forkApp, type ForkedApp } from '../../support/fork-app.js';
import { until } from '../../support/until.js';

/** What one kill left behind, and when it ran elsewhere. */
export interface Recovered {
  queue: string;
  /** How many tasks the process had in hand. */
  tasks: number;
  /** From the kill until the last of them ran elsewhere. */
  tookMs: number;
  /** How late a timer was on this machine that was set at the kill, for as long as a recovery may take. */
  controlMs: number;
}

export interface Fleet {
  url: string;
  ledger: string;
  admin: Redis;
  queue: QueueService;
  /** All that were started, to be ended in any case. */
  apps: ForkedApp[];
  /** What began of the queue `long`, and in which process. */
  long: Begun[];
}

export interface Begun {
  readonly id: string;
  readonly by: string;
}

interface Member {
  readonly pid: number;
  readonly app: ForkedApp;
  readonly readyMs: number;
  /** When each task of its lane began there. */
  readonly started: Map<string, number>;
}

/** Who judges others must have held its own lease for a whole one. */
const MAY_JUDGE_MS = 5_500;
/** Nothing here takes as long unless it is broken: the verdict is about what was measured. */
const NEVER_MS = 120_000;
/** Of a handler that takes a millisecond: enough that the kill finds it in the middle. */
const BURST = 2_000;
const IN_THE_MIDDLE = 100;

/** A process that works on these queues and tells what it starts. */
export async function startMember({ url, ledger, apps, long }: Fleet, queues: readonly string[]): Promise<Member> {
  const env = { REDIS_URL: url, LEDGER: ledger, QUEUES: queues.join(',') };
  const app = await forkApp('queue-worker', { env, readyWithinMs: NEVER_MS });
  apps.push(app);
  const started = new Map<string, number>();
  app.on('started', ({ id, queue }: { id: string; queue: string }) => {
    if (queue === 'long') long.push({ id, by: String(app.pid) });
    else started.set(id, performance.now());
  });
  return { pid: app.pid, app, readyMs: performance.now(), started };
}

/** A queue with two processes, of which one is killed at its work, again and again. */
export class RecoveryLane {
  readonly #fleet: Fleet;
  readonly #queue: string;
  readonly #handlerMs: number;
  readonly #books: Books;
  #members: Member[] = [];

  /** Opens it with its two processes. */
  static async open(fleet: Fleet, queue: string, handlerMs: number): Promise<RecoveryLane> {
    const lane = new RecoveryLane(fleet, queue, handlerMs);
    await Promise.all([lane.#join(), lane.#join()]);
    return lane;
  }

  private constructor(fleet: Fleet, queue: string, handlerMs: number) {
    this.#fleet = fleet;
    this.#queue = queue;
    this.#handlerMs = handlerMs;
    this.#books = new Books(fleet.admin, queue);
  }

  /** Kills the process that works, and waits for the other one; undefined: it had nothing in hand that it had begun. */
  async kill(limitMs: number): Promise<Recovered | undefined> {
    await pause(Math.max(0, ...this.#members.map(({ readyMs }) => readyMs + MAY_JUDGE_MS - performance.now())));
    const short = this.#handlerMs === 1;
    const enough = short ? IN_THE_MIDDLE : 1;
    for (const { started } of this.#members) started.clear();
    await this.#fleet.queue.publishMany(
      this.#queue,
      new Array<object>(short ? BURST : 3).fill({ ms: this.#handlerMs }),
    );
    const victim = await until(() => this.#members.find(({ started }) => started.size >= enough), {
      what: `somebody works on ${this.#queue}`,
      deadlineMs: NEVER_MS,
      everyMs: 1,
    });
    const killedMs = performance.now();
    const control = pause(limitMs).then(() => performance.now() - killedMs - limitMs);
    await victim.app.kill();
    this.#members = this.#members.filter((member) => member !== victim);
    const left = await this.#pendingWith(victim.pid);
    const ran = await until(() => this.#all(left), {
      what: `the tasks of ${this.#queue} run elsewhere`,
      deadlineMs: NEVER_MS,
      everyMs: 5,
    }).catch(() => ({ lastMs: Infinity }));
    const controlMs = Math.max(0, await control);
    // Not before: starting a process takes the processor from those that are measured.
    await Promise.all([this.#join(), this.#finish()]);
    if (!left.some((id) => victim.started.has(id))) return undefined;
    return { queue: this.#queue, tasks: left.length, tookMs: ran.lastMs - killedMs, controlMs };
  }

  async #join(): Promise<void> {
    this.#members.push(await startMember(this.#fleet, [this.#queue, 'long']));
  }

  /** What Redis holds for a consumer of that process. Nobody may take it before its lease is over. */
  async #pendingWith(pid: number): Promise<string[]> {
    const rows = (await this.#fleet.admin.xpending(this.#queue, 'sluice', '-', '+', BURST)) as [string, string][];
    return rows.filter(([, consumer]) => consumer.includes(`:${pid}:`)).map(([id]) => id);
  }

  /** When the last of them began with one who lives. */
  #all(ids: readonly string[]): { lastMs: number } | undefined {
    const begun = ids.map((id) => Math.max(...this.#members.map(({ started }) => started.get(id) ?? 0)));
    return begun.includes(0) ? undefined : { lastMs: Math.max(0, ...begun) };
  }

  /** Handlers of a minute have been seen to run; they need not run to their end. */
  async #finish(): Promise<void> {
    await until(
      async () => {
        await Promise.all(this.#members.map(({ app }) => app.call('finish')));
        return this.#books.settled();
      },
      { what: `${this.#queue} is settled`, deadlineMs: NEVER_MS },
    );
  }
}
