import type { Clock, RedisConnection } from '../../../redis/index.js';
import type { Worker } from '../worker.js';
import type { QueueReader } from './queue-reader.js';
import { ReadSeats, SEATS_MOST } from './read-seats.js';
import { SlotWatch } from './slot-watch.js';

export interface StreamReadersOptions {
  readonly connection: RedisConnection;
  readonly workers: readonly Worker[];
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: { warn(message: string): void };
  /** Makes the reader of workers of this group, which all have limits of the fleet or all have none. */
  readonly make: (group: string, workers: readonly Worker[], seats: ReadSeats) => QueueReader;
}

/**
 * The readers of a process: one per group, and one for those of its workers that have limits of the fleet. On a server that knows slots there is one per group and slot, because one XREADGROUP
 * cannot read streams of several slots. Beyond 32 of them, readers share sockets, and the streams of readers that have none are
 * looked at in the rhythm of the renewals.
 */
export class StreamReaders {
  readonly #options: StreamReadersOptions;
  readonly #seats: ReadSeats;
  /** Filled when it is known whether the server knows slots. Until then nothing can be read. */
  readonly #ofWorker = new Map<Worker, QueueReader>();
  /** The workers on groups' own retries, by stream. */
  readonly #retries: ReadonlyMap<string, Worker>;
  #watch: SlotWatch | undefined;
  #stopped = false;

  constructor(options: StreamReadersOptions) {
    this.#options = options;
    this.#seats = new ReadSeats(options);
    this.#retries = new Map(
      options.workers.flatMap(({ retries }) => (retries ? [[retries.keys.stream, retries]] : [])),
    );
  }

  get all(): readonly QueueReader[] {
    return [...new Set(this.#ofWorker.values())];
  }

  of(worker: Worker): QueueReader | undefined {
    return this.#ofWorker.get(worker);
  }

  /** If `stream` is that of a group's own retries, it has a task, or will have one. If it is not open, it is opened now. */
  retriesUsed(stream: string): void {
    const worker = this.#retries.get(stream);
    if (worker === undefined || worker.needed) return;
    worker.markNeeded();
    this.of(worker)?.interrupt();
  }

  async start(): Promise<void> {
    const { connection, workers, leaseMs, clock, log, make } = this.#options;
    const { slots, commands: link } = connection;
    await slots.whenLearned();
    if (this.#stopped) return;
    for (const group of new Set(workers.map(({ handler }) => handler.options.group))) {
      for (const isLimited of [false, true]) {
        const ofGroup = workers.filter(
          ({ handler, limits }) => handler.options.group === group && (limits !== undefined) === isLimited,
        );
        if (ofGroup.length === 0) continue;
        for (const list of slots.split(ofGroup, ({ keys }) => keys.stream)) {
          const reader = make(group, list, this.#seats);
          for (const worker of list) this.#ofWorker.set(worker, reader);
        }
      }
    }
    const readers = this.all;
    for (const reader of readers) reader.start();
    if (readers.length <= SEATS_MOST) return;
    this.#watch = new SlotWatch({ readers, link, clock, everyMs: leaseMs / 3, log });
    this.#watch.start();
  }

  /** Ends the reads under way, accepts the tasks that they still delivered, and closes the sockets. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.all, ...(this.#watch ? [this.#watch] : [])].map((loop) => loop.stop()));
    await this.#seats.close();
  }
}
