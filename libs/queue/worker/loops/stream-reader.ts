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
import type { Findings } from './lease-renewer.js';
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

/** How long until the next try while Redis takes no commands. */
const AGAIN_MS = 50;

/**
 * Reads all queues of one group, on a socket of its own, with one blocking XREADGROUP for the queues that have credit. On a server
 * that knows slots: all queues of one group in one slot.
 *
 * {@link ReadCounts} says how many tasks a read asks for, and which queues need a call of their own. Queues without credit are
 * left out. If one of them gains credit while the read of the others blocks, CLIENT UNBLOCK ends that read. No task is lost,
 * because a read that blocks has delivered nothing yet. The next read includes the queue. A task of an idle queue arrives one
 * round trip after its XADD.
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
  /** The next turn must begin now, so the read of the present turn does not block. */
  #hurries = false;

  constructor(options: StreamReaderOptions) {
    this.#options = options;
    const { connection, clock, group, log } = options;
    this.#socket = new BlockingSocket({
      connection,
      clock,
      purpose: 'queue',
      // A new socket reads only after the old one has ended, so there is never more than one socket to end.
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
        // The connection reports outages.
        if (isUnavailable(error)) return;
        log.warn(`reading for group '${group}' failed, and goes on: ${String(error)}`);
      },
    });
    this.#socket.link.onUp(() => {
      this.#loop.wake();
    });
  }

  /** Whose streams it reads. */
  get workers(): readonly Worker[] {
    return this.#options.workers;
  }

  start(): void {
    this.#loop.start();
  }

  /** There may be tasks to take over in this stream. */
  look(stream: string): void {
    const { workers, maintenance } = this.#options;
    if (!workers.some(({ keys }) => keys.stream === stream)) return;
    maintenance.sweepNow();
    this.interrupt();
  }

  /** A worker has enough credit to read. If the read under way leaves it out, the next read begins now and includes it. */
  creditGained(worker: Worker): void {
    // If a worker may not read (its stream was never opened, for example), it gains nothing when the read of the others ends.
    if (!worker.mayRead || this.#reading?.has(worker) === true) return;
    // Before the blocking read, no read has to be interrupted: the blocking read includes each worker that has credit by then.
    if (this.#reading === undefined) this.#loop.wake();
    else void this.#socket.interrupt();
  }

  /** Lets the next turn begin now. */
  interrupt(): void {
    this.#hurries = true;
    if (this.#reading === undefined) this.#loop.wake();
    else void this.#socket.interrupt();
  }

  /** A renewal has found something to do on the stream of one of these workers. */
  found(worker: Worker, findings: Findings): void {
    this.#options.maintenance.found(worker, findings);
    this.interrupt();
  }

  /** The queue of a worker of this group was resumed: the tasks that were returned meanwhile are taken at once. */
  resume(): void {
    this.#options.maintenance.sweepNow();
    this.interrupt();
  }

  /** Ends the read under way, accepts the tasks that it still delivered, and closes the socket. */
  async stop(): Promise<void> {
    await this.#socket.stop(this.#loop.stop());
  }

  async #turn(signal: AbortSignal): Promise<number | undefined> {
    // The loop is woken when the socket is connected again.
    if (!this.#socket.link.up) return undefined;
    this.#hurries = false;
    const { workers, maintenance } = this.#options;
    if (!this.#socket.named) await this.#socket.identify();
    if (this.#old !== undefined && !(await this.#retire(this.#old))) return AGAIN_MS;
    const restMs = await maintenance.run();
    const ready = workers.filter((worker) => worker.mayRead);
    if (signal.aborted || ready.length === 0) return restMs;
    // The socket was replaced meanwhile. A read on a socket without a name could not be ended.
    if (!this.#socket.named) return 0;
    await this.#read(ready, Math.ceil(restMs), signal);
    this.#loop.wake();
    return undefined;
  }

  /**
   * Ends the socket before this one. If the old socket is half-open, its read may still wait at the server. The server would
   * deliver tasks to it that never arrive. The tasks that it was given so far are looked for next. Resolves to false if Redis was
   * not reachable.
   */
  async #retire(old: SocketName): Promise<boolean> {
    const { connection, maintenance } = this.#options;
    const { id, addr } = old;
    let killed = false;
    // Without its address, the id might be that of another client.
    if (id !== undefined && addr !== undefined) {
      try {
        await connection.commands.send('client', ['kill', 'ID', id, 'ADDR', addr], { quiet: true });
        killed = true;
      } catch (error) {
        if (isUnavailable(error) && error.refusal !== 'NOPERM') return false;
        // The user may not use CLIENT KILL. The old socket ends by itself; its tasks are looked for once it must have ended.
      }
    }
    maintenance.reconnected(killed);
    this.#old = undefined;
    return true;
  }

  async #read(ready: readonly Worker[], blockMs: number, signal: AbortSignal): Promise<void> {
    const apart = this.#counts.apart(ready);
    await Promise.all(apart.map((worker) => this.#ask([worker], ready, undefined)));
    // If a worker of `apart` still has credit, its stream was read to the end.
    const together = ready.filter((worker) => worker.mayRead);
    // If a stop came meanwhile, it found no read to interrupt.
    if (together.length === 0 || signal.aborted) return;
    // These are read apart, and the next turn goes on with it.
    if (this.#counts.compete(together)) return;
    this.#reading = new Set(together);
    try {
      await this.#ask(together, together, this.#hurries ? undefined : blockMs);
    } finally {
      this.#reading = undefined;
    }
  }

  /** Sends one XREADGROUP. Without `blockMs` the command does not wait. */
  async #ask(workers: readonly Worker[], ready: readonly Worker[], blockMs: number | undefined): Promise<void> {
    const { group, consumer } = this.#options;
    const count = this.#counts.of(workers, ready);
    const streams = workers.map((worker) => worker.keys.stream);
    // The credit when the command is sent. Tasks within it are no surplus, even if the prefetch falls before the reply.
    const room = new Map(workers.flatMap(({ window }) => window.within.map((each) => [each, each.room])));
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
        // One stream can make the read of all streams fail. Each is opened again by itself, and the one that fails stays closed.
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
      const { within } = worker.window;
      const credit = Math.min(...within.map((window) => room.get(window) ?? 0));
      this.#counts.saw(worker, { count, credit, tasks: entries.length });
      if (entries.length === 0) continue;
      debug?.('%s: %d tasks delivered, %d asked for, credit %d', worker.keys.stream, entries.length, count, credit);
      const taken = entries.slice(0, Math.max(0, credit));
      for (const window of within) room.set(window, (room.get(window) ?? 0) - taken.length);
      worker.accept(taken.map(([id, fields]) => ({ id, fields, deliveries: 1 })));
      const beyond = entries.slice(taken.length).map(([id]) => id);
      if (beyond.length > 0) void maintenance.returnSurplus(worker, beyond);
    }
  }
}
