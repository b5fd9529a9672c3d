import {
  Loop,
  backoffMs,
  isReplyError,
  isUnavailable,
  type Clock,
  type RedisConnection,
} from '../../../redis/index.js';
import { isSluiceError } from '../../../weave/index.js';
import type { TaskCancelledMessage } from '../../observe/queue.channels.js';
import { debug } from '../../observe/queue.debug.js';
import { batches } from '../../store/stream-reply.js';
import type { Taken } from '../../store/scripts/take.script.js';
import { reportTakeOver } from '../control/take-over.js';
import type { Findings } from '../loops/lease-renewer.js';
import type { Maintenance } from '../loops/maintenance.js';
import type { QueueReader } from '../loops/queue-reader.js';
import type { ReadSeat, ReadSeats, SeatHolder } from '../loops/read-seats.js';
import type { Worker } from '../worker.js';
import type { FleetLimits } from './fleet-limits.js';
import { sendTake } from './send-take.js';

export interface LimitedReaderOptions {
  connection: RedisConnection;
  seats: ReadSeats;
  group: string;
  consumer: string;
  /** Workers with limits of the fleet. */
  workers: readonly Worker[];
  maintenance: Maintenance;
  /** The most new tasks that a script reads at once, so that they fit into memory. */
  readMost: number;
  /** A cancelled task was dropped instead of taken over. */
  onCancelled: (about: TaskCancelledMessage) => void;
  clock: Clock;
  log: { warn(message: string): void; error(message: string): void };
}

/** How long until the next look while as many tasks run in the fleet as may. Whoever ends one looks at once. */
const FULL_MS = 500;
/** How long until the next look at a stream that has nothing, although nothing was told. */
const QUIET_MS = 15_000;

/** Why a worker takes nothing now. */
interface Rest {
  /** When it looks again, on the monotonic clock. */
  readonly untilMs: number;
  /** `quiet`: nothing waits after the entry `lastId`. `rate`, `full`: the limits have no room. */
  readonly why: 'quiet' | 'rate' | 'full' | 'failed';
  readonly lastId: string;
}

/**
 * Brings tasks to the workers of one group that have limits of the fleet. It takes only as many as the limits allow, with one script per
 * worker (`queue:take`), and leaves the others in the stream: so what waits belongs to no process.
 *
 * While a stream has nothing, one blocking XREAD watches it, which takes nothing. While the rate has no room, the worker rests until it
 * has, or until a key is due that has tasks in line. While the fleet is full, whoever ends a task takes the next one; the others look again twice a second, in case that process stops.
 *
 * @see docs/internals/queue.md#limits-of-the-fleet
 */
export class LimitedReader implements QueueReader, SeatHolder {
  readonly #options: LimitedReaderOptions;
  readonly #loop: Loop;
  readonly #rests = new Map<Worker, Rest>();
  /** How often a worker was told to take. A reply to a call that was sent before that may be out of date. */
  readonly #told = new Map<Worker, number>();
  /** How often in a row the script has failed. */
  readonly #failures = new Map<Worker, number>();
  /** The workers that had credit when the loop last decided how long to rest. */
  #ready: readonly Worker[] = [];
  #seat: ReadSeat | undefined;
  /** The workers whose streams are watched by the read under way. */
  #watching: ReadonlySet<Worker> | undefined;
  #hurries = false;
  #turns = 0;

  constructor(options: LimitedReaderOptions) {
    this.#options = options;
    const { clock, group, log } = options;
    this.#loop = new Loop({
      name: 'limited queue reader',
      clock,
      turn: (signal) => this.#turn(signal),
      onError: (error) => {
        // The connection reports outages.
        if (isUnavailable(error)) return;
        log.warn(`watching queues for group '${group}' failed, and goes on: ${String(error)}`);
      },
    });
  }

  get workers(): readonly Worker[] {
    return this.#options.workers;
  }

  get group(): string {
    return this.#options.group;
  }

  get isWatched(): boolean {
    return this.#seat === undefined;
  }

  start(): void {
    this.#options.seats.ask(this);
    this.#loop.start();
  }

  tasksWait(): void {
    this.#rests.clear();
    this.#options.seats.ask(this);
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

  lost(): void {
    // XREAD delivers nothing, so nothing was lost with the socket.
  }

  look(stream: string): void {
    for (const worker of this.workers) if (worker.keys.stream === stream) this.#takeNow(worker);
  }

  creditGained(worker: Worker): void {
    const rest = this.#rests.get(worker);
    if (!worker.mayRead || this.#watching?.has(worker) === true || rest?.why === 'failed') return;
    if (rest?.why === 'rate' && this.#ready.includes(worker)) return;
    // A place of the fleet may be free now. The other processes were not told of it.
    if (rest?.why !== 'quiet') this.#takeNow(worker);
    else this.interrupt();
  }

  interrupt(): void {
    this.#hurries = true;
    if (this.#watching === undefined) this.#loop.wake();
    else void this.#seat?.socket.interrupt();
  }

  found(worker: Worker, findings: Findings): void {
    this.#options.maintenance.found(worker, findings);
    this.#takeNow(worker);
  }

  resume(): void {
    this.#options.maintenance.sweepNow();
    this.#rests.clear();
    this.interrupt();
  }

  async stop(): Promise<void> {
    await this.#options.seats.leave(this, this.#seat, this.#loop.stop());
  }

  #takeNow(worker: Worker): void {
    this.#told.set(worker, (this.#told.get(worker) ?? 0) + 1);
    this.#rests.delete(worker);
    this.interrupt();
  }

  async #turn(signal: AbortSignal): Promise<number> {
    const { maintenance, clock, seats } = this.#options;
    this.#hurries = false;
    const restMs = await maintenance.run();
    if (signal.aborted) return restMs;
    await this.#takeDue();
    if (this.#isOver(signal)) return this.#again();
    const ready = this.workers.filter((worker) => worker.mayRead);
    this.#ready = ready;
    const untilMs = Math.min(...ready.map((worker) => this.#rests.get(worker)?.untilMs ?? 0));
    const idleMs = Math.ceil(Math.min(restMs, untilMs - clock.monoMs()));
    const quiet = ready.filter((worker) => this.#rests.get(worker)?.why === 'quiet');
    const seat = this.#seat;
    if (idleMs <= 0) return this.#again();
    if (quiet.length === 0 || seat === undefined || !seat.socket.link.up) return idleMs;
    if (seats.wanted) {
      this.#seat = undefined;
      seats.giveBack(seat);
      return idleMs;
    }
    await this.#watch(seat, quiet, idleMs);
    return this.#again();
  }

  /** The next turn begins at once, and not after a timer. */
  #again(): number {
    this.#loop.wake();
    return 0;
  }

  /** The turn must not rest. */
  #isOver({ aborted }: AbortSignal): boolean {
    return aborted || this.#hurries;
  }

  /** The workers of one handler share their room, and take one after the other, beginning with another one each time. */
  async #takeDue(): Promise<void> {
    const nowMs = this.#options.clock.monoMs();
    const due = this.workers.filter((worker) => worker.mayRead && (this.#rests.get(worker)?.untilMs ?? 0) <= nowMs);
    const ofLimits = new Map<FleetLimits, Worker[]>();
    for (const worker of due) {
      const { limits } = worker;
      if (limits !== undefined) ofLimits.set(limits, [...(ofLimits.get(limits) ?? []), worker]);
    }
    this.#turns++;
    await Promise.all(
      [...ofLimits].map(async ([limits, workers]) => {
        const inTurn = this.#turns % 2 === 0 ? workers : workers.toReversed();
        for (const worker of inTurn) if (worker.mayRead) await this.#take(worker, limits);
      }),
    );
  }

  async #take(worker: Worker, limits: FleetLimits): Promise<void> {
    const { connection, consumer, readMost, clock, log } = this.#options;
    const { handler } = worker;
    const args = limits.args();
    const sentMs = clock.monoMs();
    const told = this.#told.get(worker);
    try {
      const taken = await sendTake(worker, limits, {
        ...{ link: connection.commands, inboxes: connection.inbox.prefix, consumer, args },
        readMost: Math.min(readMost, worker.window.readMost),
      });
      this.#failures.delete(worker);
      if (this.#told.get(worker) === told) this.#rest(worker, taken, limits);
      else this.#rests.delete(worker);
      reportTakeOver(worker, { ...taken, claimed: taken.claimed.slice(0, taken.takenOver) }, this.#options);
      worker.accept(taken.claimed, limits.grace?.startBy(sentMs, args.graceMs));
    } catch (error) {
      const failures = this.#failures.get(worker) ?? 0;
      this.#failures.set(worker, failures + 1);
      this.#rests.set(worker, { untilMs: clock.monoMs() + backoffMs(failures, 50, 2_000), why: 'failed', lastId: '' });
      // The connection reports outages. A renewal reports data of a newer release, and halts the worker.
      if (isUnavailable(error) || isSluiceError(error, 'SLUICE_NEWER_DATA')) return;
      // The group may be gone.
      if (isReplyError(error, '')) worker.lostGroup();
      log.warn(`queue '${handler.queue}': taking tasks failed, and is tried again: ${String(error)}`);
    }
  }

  #rest(worker: Worker, { lastId, waits, afterMs, isFull, claimed, dueMs }: Taken, { grace }: FleetLimits): void {
    const nowMs = this.#options.clock.monoMs();
    const rest = (why: Rest['why'], ms: number): void => {
      this.#rests.set(worker, { untilMs: nowMs + ms, why, lastId });
    };
    debug?.(
      '%s: %d tasks taken; waits %s, after %d ms, full %s',
      worker.keys.stream,
      claimed.length,
      waits,
      afterMs,
      isFull,
    );
    // Keys that are due within the time that a start has anyway are looked at with one call.
    const isDueMs = dueMs === undefined ? QUIET_MS : Math.max(dueMs, (grace?.usualMs ?? 0) / 2);
    if (!waits) rest('quiet', Math.min(QUIET_MS, isDueMs));
    else if (afterMs > 0) rest('rate', afterMs);
    else if (isFull) rest('full', FULL_MS);
    else this.#rests.delete(worker);
  }

  /** Waits until one of these streams has an entry that the group was not given yet, and at most so long. */
  async #watch(seat: ReadSeat, quiet: readonly Worker[], blockMs: number): Promise<void> {
    const { socket } = seat;
    if (!socket.named) await socket.identify();
    if (this.#hurries) return;
    const streams = quiet.map(({ keys }) => keys.stream);
    const lastIds = quiet.map((worker) => this.#rests.get(worker)?.lastId ?? '0-0');
    this.#watching = new Set(quiet);
    try {
      const reply = await socket.read(
        'xread',
        ['COUNT', 1, 'BLOCK', blockMs, 'STREAMS', ...streams, ...lastIds],
        blockMs,
      );
      const brought = new Set(batches(reply).map(([stream]) => stream));
      for (const worker of quiet) if (brought.has(worker.keys.stream)) this.#rests.delete(worker);
      if (brought.size > 0) this.#options.seats.wasBusy(seat);
    } catch (error) {
      if (!isUnavailable(error)) {
        // One stream can make the read of all fail. Each is looked at by itself.
        for (const worker of quiet) this.#rests.delete(worker);
        throw error;
      }
      // No answer long after BLOCK was over: the socket is half-open.
      if (socket.link.up) socket.link.reset();
    } finally {
      this.#watching = undefined;
    }
  }
}
