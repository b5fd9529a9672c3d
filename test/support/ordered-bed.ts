import type { HandlerOptions, QueueDefinition, Task } from 'nestjs-sluice/queue';
import type { QueueApp, QueueAppOptions } from './queue-app.js';
import { Ordered, Stopping, type Keyed } from './ordered-queues.js';
import { QueueBed } from './queue-bed.js';

export { Ordered, Stopping, type Keyed };

/** Runs of an ordered queue in several apps, in the order in which they began. */
export class OrderedRuns {
  readonly started: Keyed[] = [];
  /** Each violation of the order. */
  readonly broken: string[] = [];
  readonly #last = new Map<string, number>();
  readonly #running = new Map<string, number>();
  readonly #ends: (() => void)[] = [];
  /** What a run does. */
  body: (task: Task<Keyed>) => unknown = () => {};

  readonly handler = async (task: Task<Keyed>): Promise<unknown> => {
    const { key, n } = task.payload;
    const now = this.#running.get(key);
    if (now !== undefined) this.broken.push(`${key}: ${n} began while ${now} ran`);
    const last = this.#last.get(key) ?? -1;
    if (n < last) this.broken.push(`${key}: ${n} began after ${last}`);
    this.#last.set(key, Math.max(n, last));
    this.#running.set(key, n);
    this.started.push(task.payload);
    try {
      return await this.body(task);
    } finally {
      this.#running.delete(key);
    }
  };

  /** How many tasks run. */
  get running(): number {
    return this.#running.size;
  }

  /** Which tasks of a key have begun, in order. */
  of(key: string): number[] {
    return this.started.filter((each) => each.key === key).map(({ n }) => n);
  }

  /** A run that lasts until `endOne` or `endAll`. */
  readonly hold = (): Promise<void> =>
    new Promise((resolve) => {
      this.#ends.push(resolve);
    });

  endOne(): void {
    this.#ends.shift()?.();
  }

  endAll(): void {
    for (const end of this.#ends.splice(0)) end();
  }
}

/** Apps with an ordered queue `tasks`. */
export class OrderedBed extends QueueBed {
  readonly startOrdered = (
    runs: OrderedRuns,
    options: HandlerOptions = {},
    { definition = Ordered, ...more }: Omit<QueueAppOptions, 'url'> & { definition?: QueueDefinition<Keyed> } = {},
  ): Promise<QueueApp> =>
    this.start({
      handlers: { tasks: { run: runs.handler, options, definition: definition as QueueDefinition<never, unknown> } },
      ...more,
    });

  /** The keys of the order that are left. */
  readonly left = async (): Promise<string[]> => [
    ...(await this.admin.keys('*~gates*')),
    ...(await this.admin.keys('*~line*')),
  ];

  /** How many entries are parked, and how many are in line. */
  readonly parked = async (group = 'sluice'): Promise<[parked: number, inLine: number]> => {
    const rows = await this.admin.xpending('tasks', group, '-', '+', 100_000, 'sluice:~parked');
    return [rows.length, await this.admin.zcard(`{tasks}:~line:${group}`)];
  };
}

/** `count` tasks of each key, the keys in turn. */
export function inTurn(keys: readonly string[], count: number): Keyed[] {
  return Array.from({ length: count }, (_, n) => keys.map((key) => ({ key, n }))).flat();
}
