import {
  BlockingSocket,
  Loop,
  READ_GRACE_MS,
  isUnavailable,
  type Clock,
  type RedisConnection,
  type SocketName,
} from '../../../redis/index.js';
import { debug } from '../../observe/queue.debug.js';
import { batches } from '../../store/stream-reply.js';
import type { Maintenance } from './maintenance.js';
import { ReadCounts } from './read-counts.js';
import type { ConcurrencyWindow } from '../concurrency-window.js';
import type { Worker } from '../worker.js';

export interface StreamReaderOptions {
  connection: RedisConnection;
  group: string;
  consumer: string;
  workers: readonly Worker[];
  maintenance: Maintenance;
  /** The largest payload that `publish` takes. */
  maxPayloadBytes: number;
  clock: Clock;
  log: { warn(message: string): void };
}

/** While Redis takes no commands, how soon to look again. */
const AGAIN_MS = 50;

/**
 * Reads for all queues of one group, on its own socket: one blocking XREADGROUP over those that have credit.
 *
 * {@link ReadCounts} says how many tasks it asks for, and which queues need a call of their own. Queues without credit are left
 * out. When one of them gains credit while the others' read blocks, CLIENT UNBLOCK ends that read: a read that blocks has
 * delivered nothing yet. The next read includes the queue. A task of an idle queue arrives one round trip after its XADD.
 *
 * @see docs/internals/queue.md#recovery
 */
export class StreamReader {
  readonly #options: StreamReaderOptions;
  readonly #socket: BlockingSocket;
  readonly #loop: Loop;
  readonly #counts: ReadCounts;
  /** The socket before the present one, until the server has ended it. */
  #old: SocketName | undefined;
  /** The queues of the read under way. */
  #reading: ReadonlySet<Worker> | undefined;
  /** The next turn is to begin now: the read that this one comes to does not block. */
  #hurries = false;

  constructor(options: StreamReaderOptions) {
    this.#options = options;
    const { connection, clock, group, log } = options;
    this.#socket = new BlockingSocket({
      connection,
      clock,
      purpose: 'queue',
      // A new socket reads only once the old one has ended, so there is never more than one to end.
      lost: (name) => {
        this.#old ??= name;
      },
    });
    this.#counts = new ReadCounts(options.maxPayloadBytes, clock);
    this.#loop = new Loop({
      name: 'queue reader',
      clock,
      turn: (signal) => this.#turn(signal),
      onError: (error) => {
        // An outage is the connection's to report.
        if (isUnavailable(error)) return;
        log.warn(`reading for group '${group}' failed, and goes on: ${String(error)}`);
      },
    });
    this.#socket.link.onUp(() => {
      this.#loop.wake();
    });
  }

  start(): void {
    this.#loop.start();
  }

  /** There may be something to take over in that stream. */
  look(stream: string): void {
    const { workers, maintenance } = this.#options;
    if (!workers.some(({ keys }) => keys.stream === stream)) return;
    maintenance.sweepNow();
    this.interrupt();
  }

  /** A worker has credit enough to read: one that the read under way leaves out joins in. */
  creditGained(worker: Worker): void {
    // A worker that may not read, as one whose stream was never opened, gains nothing when the others' read ends.
    if (!worker.mayRead || this.#reading?.has(worker) === true) return;
    // The reads before the one that blocks make room as well: that one takes along who has credit by then.
    if (this.#reading === undefined) this.#loop.wake();
    else void this.#socket.interrupt();
  }

  /** Lets the next turn begin now. */
  interrupt(): void {
    this.#hurries = true;
    if (this.#reading === undefined) this.#loop.wake();
    else void this.#socket.interrupt();
  }

  /** The queue of a worker of this group was resumed: what was returned meanwhile is taken at once. */
  resume(): void {
    this.#options.maintenance.sweepNow();
    this.interrupt();
  }

  /** Ends the read under way, accepts the tasks that it still delivered, and closes the socket. */
  async stop(): Promise<void> {
    await this.#socket.stop(this.#loop.stop());
  }

  async #turn(signal: AbortSignal): Promise<number | undefined> {
    // Woken when the socket is there again.
    if (!this.#socket.link.up) return undefined;
    this.#hurries = false;
    const { workers, maintenance } = this.#options;
    if (!this.#socket.named) await this.#socket.identify();
    if (this.#old !== undefined && !(await this.#retire(this.#old))) return AGAIN_MS;
    const restMs = await maintenance.run();
    const ready = workers.filter((worker) => worker.mayRead);
    if (signal.aborted || ready.length === 0) return restMs;
    // Replaced meanwhile: a read on a socket without a name could not be ended.
    if (!this.#socket.named) return 0;
    await this.#read(ready, Math.ceil(restMs), signal);
    this.#loop.wake();
    return undefined;
  }

  /**
   * Ends the socket before this one. Half-open, it may still wait in a read, and would be handed tasks that never arrive.
   * What it was handed so far is looked for next. Resolves to false if Redis was not reachable.
   */
  async #retire(old: SocketName): Promise<boolean> {
    const { connection, maintenance } = this.#options;
    let killed = true;
    try {
      await connection.commands.send('client', ['kill', 'ID', old.id, 'ADDR', old.addr]);
    } catch (error) {
      if (isUnavailable(error)) return false;
      // Not allowed. The socket ends by itself; what it was handed is looked for once it must have ended.
      killed = false;
    }
    maintenance.reconnected(killed);
    this.#old = undefined;
    return true;
  }

  async #read(ready: readonly Worker[], blockMs: number, signal: AbortSignal): Promise<void> {
    const apart = this.#counts.apart(ready);
    await Promise.all(apart.map((worker) => this.#ask([worker], ready, undefined)));
    // Those that have credit left were read to their end.
    const together = ready.filter((worker) => worker.mayRead);
    // A stop that came meanwhile found no read to interrupt.
    if (together.length === 0 || signal.aborted) return;
    this.#reading = new Set(together);
    try {
      await this.#ask(together, together, this.#hurries ? undefined : blockMs);
    } finally {
      this.#reading = undefined;
    }
  }

  /** One XREADGROUP; without `blockMs` it does not wait. */
  async #ask(workers: readonly Worker[], ready: readonly Worker[], blockMs: number | undefined): Promise<void> {
    const { group, consumer } = this.#options;
    const count = this.#counts.of(workers, ready);
    const streams = workers.map((worker) => worker.keys.stream);
    // Of the moment of asking: what comes within it is not a surplus, though the prefetch has fallen by then.
    const room = new Map(workers.map(({ window, credit }) => [window, credit]));
    const args = ['GROUP', group, consumer, 'COUNT', count];
    if (blockMs !== undefined) args.push('BLOCK', blockMs);
    args.push('STREAMS', ...streams, ...streams.map(() => '>'));
    const { link } = this.#socket;
    const deadlineMs = (blockMs ?? 0) + READ_GRACE_MS;
    try {
      const reading =
        blockMs === undefined
          ? link.send('xreadgroup', args, { deadlineMs })
          : this.#socket.read('xreadgroup', args, blockMs);
      const [reply] = await Promise.all([reading, this.#counts.measure(link, workers, deadlineMs)]);
      this.#accept(workers, room, count, reply);
    } catch (error) {
      if (!isUnavailable(error)) {
        // One stream may fail the read of all: each is opened again by itself, and the one that fails stays out.
        for (const worker of workers) {
          debug?.('%s: closed, a read was refused: %s', worker.keys.stream, error);
          worker.lostGroup();
        }
        throw error;
      }
      // No answer long after BLOCK was over: the socket is half-open.
      if (link.up) link.reset();
    }
  }

  #accept(workers: readonly Worker[], room: Map<ConcurrencyWindow, number>, count: number, reply: unknown): void {
    const { maintenance } = this.#options;
    const brought = new Map(batches(reply));
    for (const worker of workers) {
      const entries = brought.get(worker.keys.stream) ?? [];
      const credit = room.get(worker.window) ?? 0;
      this.#counts.saw(worker, { count, credit, tasks: entries.length });
      if (entries.length === 0) continue;
      debug?.('%s: %d tasks delivered, %d asked for, credit %d', worker.keys.stream, entries.length, count, credit);
      const taken = entries.slice(0, credit);
      room.set(worker.window, credit - taken.length);
      worker.accept(taken.map(([id, fields]) => ({ id, fields, deliveries: 1 })));
      const beyond = entries.slice(credit).map(([id]) => id);
      if (beyond.length > 0) void maintenance.returnSurplus(worker, beyond);
    }
  }
}
