import type { Clock } from '../../redis/index.js';
import { batchesOf } from './batches/batches-of.js';
import type { BatchFormer } from './batches/batch-former.js';
import { ChangeSignal } from './change-signal.js';
import type { Entry } from '../store/stream-reply.js';
import { Delivery } from '../task/delivery.js';
import type { FleetLimits } from './admission/fleet-limits.js';
import type { WorkerEvents } from '../events/worker-events.js';
import { settlersOf, type SettlersOptions } from './settling/settlers-of.js';
import { KeptRoom } from './ordered/kept-room.js';
import type { Handler } from '../handlers/handler.registry.js';
import { Isolation } from './isolation.js';
import type { WorkerLease } from './worker-lease.js';
import { TaskCancelledError } from '../queue.errors.js';
import type { QueueKeys } from '../store/queue.keys.js';
import type { EndedKeys } from './settling/ended-keys.js';
import type { ConcurrencyWindow } from './concurrency-window.js';
import { TaskRunner, type TaskRunnerOptions } from './task-runner.js';
import type { WorkerListener } from './worker-listener.js';

export interface WorkerOptions
  extends
    Omit<SettlersOptions, 'retryKeys' | 'onAcked' | 'room' | 'listener'>,
    Pick<TaskRunnerOptions, 'results' | 'events'> {
  handler: Handler;
  window: ConcurrencyWindow;
  /** The sorted set that tells when the queue's schedules are due. */
  scheduleDueKey: string;
  /** The worker on the group's own retries; undefined for that worker itself. */
  retries: Worker | undefined;
  /** The handler's limits of the fleet, if it has some. */
  limits?: FleetLimits | undefined;
  lease: WorkerLease;
  endedKeys: EndedKeys;
  listener: WorkerListener<Worker>;
}

export type WorkerState = 'closed' | 'open' | 'doubtful';

/** How long a prefetched task may wait while its neighbours take longer than they used to. */
const SURPLUS_AFTER_MS = 1_000;

/**
 * Runs the tasks of one stream: at most `concurrency` at a time, with a few more prefetched.
 *
 * A worker holds exactly the tasks that Redis counts as pending with this process: prefetched, running, or finished but not yet
 * confirmed. When a process dies, at most `concurrency + prefetch` tasks run again, because no more are begun before they are
 * confirmed.
 *
 * ```
 *   closed ── opened(true), nothing held ──► open ── doubt() ──► doubtful ── confirmed() ──► open
 *   closed ── opened(…), otherwise ────────► doubtful
 *   open, doubtful ── lostGroup() ─────────► closed
 * ```
 *
 * - `closed`: the stream or its group may be missing, or no lease was taken yet. Nothing is read, taken over or started.
 *   Maintenance creates the group, takes the lease and calls `opened`.
 * - `open`: the worker reads, takes over the tasks of dead processes, and starts tasks, as long as the lease is held and
 *   the queue is not halted: neither paused, nor with data of a newer release.
 * - `doubtful`: the lease had lapsed, or the group had been lost, so other processes may have the tasks that are prefetched here.
 *   Nothing is read or started until Redis has told what is still pending with this process (`keepOnly`, then `confirmed`).
 *
 * Tasks that run go on in every state, because their settlement is fenced.
 *
 * @see docs/internals/queue.md#a-worker
 */
export class Worker {
  readonly handler: Handler;
  readonly window: ConcurrencyWindow;
  readonly keys: QueueKeys;
  readonly scheduleDueKey: string;
  readonly lease: WorkerLease;
  readonly retries: Worker | undefined;
  readonly limits: FleetLimits | undefined;
  readonly events: WorkerEvents;
  readonly records: SettlersOptions['records'];
  readonly #clock: Clock;
  readonly #listener: WorkerListener<Worker>;
  readonly #held = new Map<string, Delivery>();
  readonly #runner: TaskRunner;
  readonly #batches: BatchFormer | undefined;
  readonly #isolation: Isolation;
  readonly #changes = new ChangeSignal();
  readonly #room = new KeptRoom(this);
  #state: WorkerState = 'closed';
  #needed: boolean;
  #prefetched: Delivery[] = [];
  #draining = false;

  constructor(options: WorkerOptions) {
    const { handler, window, keys, scheduleDueKey, retries, limits, lease, listener } = options;
    const { clock, events, endedKeys, records } = options;
    this.#clock = clock;
    this.#listener = listener;
    this.handler = handler;
    this.window = window;
    this.retries = retries;
    this.limits = limits;
    this.events = events;
    this.records = records;
    this.#needed = retries !== undefined;
    window.add(this);
    this.keys = keys;
    this.scheduleDueKey = scheduleDueKey;
    this.lease = lease;
    this.#isolation = new Isolation(clock, handler.options.maxDeliveries, lease.leaseMs);
    const onAcked = (deliveries: readonly Delivery[]): void => {
      events.settled(deliveries);
      for (const delivery of deliveries) this.#release(delivery);
      endedKeys.settled(deliveries);
      this.#next();
      window.offerCredit();
    };
    const settlers = settlersOf({ ...options, retryKeys: retries?.keys ?? keys, onAcked, room: this.#room });
    const onEnded = this.#next.bind(this);
    this.#runner = new TaskRunner({ ...options, ...settlers, onEnded, onSettled: onAcked });
    this.#batches = batchesOf(this, { clock, isolation: this.#isolation, runner: this.#runner, onEnded });
  }

  get state(): WorkerState {
    return this.#state;
  }

  /** Whether there may be something in the stream. A stream of retries is used only where several groups read a queue. */
  get needed(): boolean {
    return this.#needed;
  }

  /** How many more tasks may be read. */
  get credit(): number {
    return this.window.credit;
  }

  /** Whether tasks may start. Without a running lease, other processes may have them. A halted queue is left to others. */
  get mayStart(): boolean {
    return this.#state === 'open' && this.lease.held && !this.lease.halted && !this.#draining;
  }

  /** Whether to read more tasks. */
  get mayRead(): boolean {
    return this.mayStart && this.window.wantsMore;
  }

  /** Whether to take over the tasks of dead processes. */
  get mayTakeOver(): boolean {
    return this.mayStart && this.credit > 0;
  }

  /** Whether prefetched tasks have waited here for a second, and are more than the prefetch: see `takeSurplus`. */
  get hasSurplus(): boolean {
    const [oldest] = this.#prefetched;
    const isOld = oldest !== undefined && this.#clock.monoMs() - oldest.takenMs >= SURPLUS_AFTER_MS;
    return isOld && this.#batches?.mayForm !== true && this.#prefetched.length > this.window.prefetch;
  }

  /** Whether tasks are held here. */
  get holds(): boolean {
    return this.#held.size > 0;
  }

  /** How many prefetched tasks wait, and for how many room is kept. */
  get waiting(): number {
    return this.#prefetched.length + this.#room.kept;
  }

  /** The tasks that are known to be pending with this process: prefetched, running, or finished and not yet confirmed. */
  get heldIds(): string[] {
    return [...this.#held.keys()];
  }

  /** Whether the worker holds an isolated task, so that it must not get another one. */
  get holdsIsolated(): boolean {
    return this.#isolation.isBusy(this.#held.values());
  }

  /** There is something in the stream, so the worker has to be opened. */
  markNeeded(): void {
    this.#needed = true;
  }

  /** The stream and its group exist, and the lease was taken; `unbroken`: the lease had not lapsed meanwhile. */
  opened(unbroken: boolean): void {
    this.#state = unbroken && this.#held.size === 0 ? 'open' : 'doubtful';
    this.#changes.notify();
  }

  /** The queue has data that this release does not know, so the worker stays closed. */
  leftAlone(): void {
    this.#changes.notify();
  }

  /** Resolves once the stream and its group exist, if the worker is needed and may open them. */
  whenOpened(): Promise<void> {
    return this.#changes.until(() => !this.#needed || this.#state !== 'closed' || this.lease.unknown !== undefined);
  }

  /** Redis refused a command on the stream: its group may be gone. */
  lostGroup(): void {
    this.#state = 'closed';
  }

  /** The lease had lapsed, or it is unknown what is still pending with this process. */
  doubt(): void {
    if (this.#state === 'open') this.#state = 'doubtful';
  }

  /** The held tasks agree with Redis, so work goes on. */
  confirmed(): void {
    if (this.#state === 'doubtful') this.#state = 'open';
    this.window.start(this);
  }

  /** Takes the tasks that Redis has delivered to this process. They may start until `startByMs`, on the monotonic clock. */
  accept(entries: readonly Entry[], startByMs?: number): void {
    const nowMs = this.#clock.monoMs();
    let chars = 0;
    for (const entry of entries) {
      const known = this.#held.get(entry.id);
      if (known) {
        // Another process took the task over, and then this one took it back. The run under way counts for this delivery.
        known.deliveries = entry.deliveries;
        continue;
      }
      const delivery = new Delivery(this.handler.queue, entry, nowMs, this.handler.noting);
      delivery.startByMs = startByMs;
      chars += delivery.chars;
      this.#held.set(delivery.id, delivery);
      this.window.hold();
      // An entry that is not readable here may be data of a newer release, which this process has not heard of yet.
      if (delivery.task || !this.mayStart) this.#prefetched.push(delivery);
      else void this.#runner.deadLetter(delivery);
    }
    if (entries.length > 0) this.window.delivered(entries.length, chars);
    this.#startOrReturn();
  }

  /** Starts the tasks that may start, at most `most`. */
  pump(most = Infinity): void {
    this.#batches?.pump(this.#prefetched);
    let late: string[] | undefined;
    let left = this.#batches ? 0 : most;
    while (left-- > 0 && this.#prefetched.length > 0 && this.window.free && this.mayStart) {
      const delivery = this.#prefetched.shift();
      if (delivery === undefined) break;
      const { task, startByMs, id } = delivery;
      if (startByMs !== undefined && this.#clock.monoMs() > startByMs) {
        (late ??= []).push(id);
        this.#release(delivery);
      } else if (task) void this.#runner.run(delivery);
      else void this.#runner.deadLetter(delivery);
    }
    if (late !== undefined) this.#listener.tooLate(this, late);
  }

  /** There is enough credit to read. */
  creditGained(): void {
    this.#listener.creditGained(this);
  }

  /** Drops prefetched tasks that are not in `mine` with the same delivery: other processes have them now. */
  keepOnly(mine: ReadonlyMap<string, number>): void {
    this.#prefetched = this.#prefetched.filter((delivery) => {
      const kept = mine.get(delivery.id) === delivery.deliveries;
      if (!kept) this.#release(delivery);
      return kept;
    });
  }

  /** The task of this entry is cancelled: its run aborts. If it has not begun, it is dropped. */
  cancel(id: string): void {
    const delivery = this.#held.get(id);
    if (delivery === undefined) return;
    if (delivery.started) {
      delivery.abort(new TaskCancelledError(delivery.taskId));
      return;
    }
    const at = this.#prefetched.indexOf(delivery);
    if (at < 0) return;
    this.#prefetched.splice(at, 1);
    void this.#runner.drop(delivery);
  }

  /** From now on, no task starts. */
  drain(): void {
    this.#draining = true;
    this.#batches?.stop();
  }

  /** If tasks have waited here for a second, takes those beyond the prefetch, so that other processes may have them. */
  takeSurplus(): Delivery[] {
    return this.hasSurplus ? this.#prefetched.splice(this.window.prefetch) : [];
  }

  /** Drops the part of the surplus that was returned and keeps the rest; undefined: it is unknown what was returned. */
  surplusReturned(surplus: readonly Delivery[], returned: readonly string[] | undefined): void {
    const gone = new Set(returned ?? surplus.map(({ id }) => id));
    if (returned === undefined) this.doubt();
    for (const delivery of surplus) {
      if (gone.has(delivery.id)) this.#release(delivery);
      else this.#prefetched.push(delivery);
    }
    this.#startOrReturn();
  }

  /** Drops the tasks that did not start; returns their ids. */
  takePrefetched(): string[] {
    const ids = this.#prefetched.map((delivery) => delivery.id);
    for (const delivery of this.#prefetched) this.#release(delivery);
    this.#prefetched = [];
    return ids;
  }

  /** How many tasks run. */
  get running(): number {
    return this.#runner.running;
  }

  /** Resolves when no task runs any more. */
  finished(): Promise<void> {
    return this.#changes.until(() => this.#runner.running === 0);
  }

  /** Resolves when Redis has confirmed all finished tasks. */
  settled(): Promise<void> {
    return this.#changes.until(() => this.#held.size <= this.#runner.running);
  }

  /** Aborts the tasks that still run, and does not settle them. */
  abort(): void {
    this.#runner.abort(this.#held.values());
  }

  /** Tasks have come. If the queue was halted while the read was under way, the tasks must not stay here. */
  #startOrReturn(): void {
    this.window.start(this);
    if (this.lease.halted && this.#prefetched.length > 0) this.#listener.bufferedWhileHalted(this);
  }

  #next(): void {
    this.window.pump(this);
    this.#changes.notify();
  }

  #release(delivery: Delivery): void {
    if (this.#held.delete(delivery.id)) this.window.release();
    if (this.#isolation.concerns(delivery)) this.#listener.isolatedSettled(this);
    this.#changes.notify();
  }
}
