import {
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
import type { QueueReader } from './queue-reader.js';
import { ReadCounts } from './read-counts.js';
import type { ReadSeat, ReadSeats, SeatHolder } from './read-seats.js';
import type { ConcurrencyWindow } from '../concurrency-window.js';
import type { Worker } from '../worker.js';

export interface StreamReaderOptions {
  connection: RedisConnection;
  seats: ReadSeats;
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
 * that knows slots: all queues of one group in one slot. There are 32 sockets at most ({@link ReadSeats}). A reader without one is
 * watched: it asks for a socket when it is told that tasks wait, and does all but reading meanwhile.
 *
 * {@link ReadCounts} says how many tasks a read asks for, and which queues need a call of their own. Queues without credit are
 * left out. If one of them gains credit while the read of the others blocks, CLIENT UNBLOCK ends that read. No task is lost,
 * because a read that blocks has delivered nothing yet. The next read includes the queue. A task of an idle queue arrives one
 * round trip after its XADD.
 *
 * @see docs/internals/queue.md#recovery
 */
export class StreamReader implements QueueReader, SeatHolder {
  readonly #options: StreamReaderOptions;
  #seat: ReadSeat | undefined;
  /** Whether there may be something to read: it has not read yet, its last read brought tasks, or a look has found some. */
  #mayBring = true;
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
    const { clock, group, log } = options;
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
  }

  /** Whose streams it reads. */
  get workers(): readonly Worker[] {
    return this.#options.workers;
  }

  get group(): string {
    return this.#options.group;
  }

  /** Whether the reader has no seat, and does not ask for one: somebody has to look for its tasks. */
  get isWatched(): boolean {
    return this.#seat === undefined && !this.#mayBring;
  }

  /** Gets a seat at once, if there is a free one: then the first tasks wait for nothing. */
  start(): void {
    this.#options.seats.ask(this);
    this.#loop.start();
  }

  /** A look has found tasks in a stream of a reader that is watched. */
  tasksWait(): void {
    this.#mayBring = true;
    this.#loop.wake();
  }

  seated(seat: ReadSeat): void {
    this.#seat = seat;
    this.#loop.wake();
  }

  yieldSeat(): void {
    this.interrupt();
  }

  connected(): void {
    this.#loop.wake();
  }

  lost(name: SocketName): void {
    // A new socket reads only after the old one has ended, so there is never more than one socket to end.
    this.#old ??= name;
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
    // The reads without this worker say nothing about its stream.
    this.#mayBring = true;
    // Before the blocking read, no read has to be interrupted: the blocking read includes each worker that has credit by then.
    if (this.#reading === undefined) this.#loop.wake();
    else void this.#seat?.socket.interrupt();
  }

  /** Lets the next turn begin now. */
  interrupt(): void {
    this.#hurries = true;
    if (this.#reading === undefined) this.#loop.wake();
    else void this.#seat?.socket.interrupt();
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
    await this.#options.seats.leave(this, this.#seat, this.#loop.stop());
  }

  async #turn(signal: AbortSignal): Promise<number | undefined> {
    const seat = this.#seat;
    if (seat === undefined) return this.#turnWithoutSeat(signal);
    const { socket } = seat;
    // The loop is woken when the socket is connected again.
    if (!socket.link.up) return undefined;
    this.#hurries = false;
    const { maintenance } = this.#options;
    if (!socket.named) await socket.identify();
    if (this.#old !== undefined && !(await this.#retire(this.#old))) return AGAIN_MS;
    const restMs = await maintenance.run();
    const ready = this.#ready();
    if (signal.aborted) return restMs;
    if (ready.length === 0) {
      this.#giveSeatIfWanted(seat, signal);
      return restMs;
    }
    // The socket was replaced meanwhile. A read on a socket without a name could not be ended.
    if (!socket.named) return 0;
    await this.#read(seat, ready, Math.ceil(restMs), signal);
    this.#giveSeatIfWanted(seat, signal);
    this.#loop.wake();
    return undefined;
  }

  async #turnWithoutSeat(signal: AbortSignal): Promise<number> {
    const { seats, maintenance } = this.#options;
    this.#hurries = false;
    const restMs = await maintenance.run();
    if (!signal.aborted && this.#mayBring && this.#seat === undefined && this.#ready().length > 0) seats.ask(this);
    return restMs;
  }

  #ready(): Worker[] {
    return this.#options.workers.filter((worker) => worker.mayRead);
  }

  /** A socket that died may have been given tasks: this reader has to look for them before another one uses the seat. */
  #giveSeatIfWanted(seat: ReadSeat, signal: AbortSignal): void {
    const { seats } = this.#options;
    // A reader that is being stopped closes its seat itself.
    if (signal.aborted || !seats.wanted || !seat.socket.named || !seat.socket.link.up) return;
    this.#seat = undefined;
    seats.giveBack(seat);
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

  async #read(seat: ReadSeat, ready: readonly Worker[], blockMs: number, signal: AbortSignal): Promise<void> {
    this.#mayBring = false;
    const apart = this.#counts.apart(ready);
    await Promise.all(apart.map((worker) => this.#ask(seat, [worker], ready, undefined)));
    // If a worker of `apart` still has credit, its stream was read to the end.
    const together = ready.filter((worker) => worker.mayRead);
    // If a stop came meanwhile, it found no read to interrupt.
    if (together.length === 0 || signal.aborted) return;
    // These are read apart, and the next turn goes on with it.
    if (this.#counts.compete(together)) return;
    this.#reading = new Set(together);
    try {
      const waits = !this.#hurries && !this.#options.seats.wanted;
      await this.#ask(seat, together, together, waits ? blockMs : undefined);
    } finally {
      this.#reading = undefined;
    }
  }

  /** Sends one XREADGROUP. Without `blockMs` the command does not wait. */
  async #ask(
    seat: ReadSeat,
    workers: readonly Worker[],
    ready: readonly Worker[],
    blockMs: number | undefined,
  ): Promise<void> {
    const { group, consumer } = this.#options;
    const count = this.#counts.of(workers, ready);
    const streams = workers.map((worker) => worker.keys.stream);
    // The credit when the command is sent. Tasks within it are no surplus, even if the prefetch falls before the reply.
    const room = new Map(workers.flatMap(({ window }) => window.within.map((each) => [each, each.room])));
    const args = ['GROUP', group, consumer, 'COUNT', count];
    if (blockMs !== undefined) args.push('BLOCK', blockMs);
    args.push('STREAMS', ...streams, ...streams.map(() => '>'));
    const { link } = seat.socket;
    const deadlineMs = (blockMs ?? 0) + READ_GRACE_MS;
    try {
      const reading =
        blockMs === undefined
          ? link.send('xreadgroup', args, { deadlineMs })
          : seat.socket.read('xreadgroup', args, blockMs);
      const [reply] = await Promise.all([reading, this.#counts.measure(link, workers, deadlineMs)]);
      if (this.#accept(workers, room, count, reply)) {
        this.#mayBring = true;
        this.#options.seats.wasBusy(seat);
      }
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

  /** Answers whether the reply brought tasks. */
  #accept(workers: readonly Worker[], room: Map<ConcurrencyWindow, number>, count: number, reply: unknown): boolean {
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
    return brought.size > 0;
  }
}
