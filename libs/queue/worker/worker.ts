import type { Clock, Link } from '../../redis/index.js';
import { AckBatcher } from './ack-batcher.js';
import type { Entry } from '../store/stream-reply.js';
import { Delivery } from '../task/delivery.js';
import { FailureSettler, type FailureSettlerOptions } from './failure-settler.js';
import type { Handler } from '../handlers/handler.registry.js';
import type { WorkerLease } from './worker-lease.js';
import type { RetryUntilConfirmed } from './retry-until-confirmed.js';
import { channels } from '../observe/queue.channels.js';
import type { QueueKeys } from '../store/queue.keys.js';
import type { Task } from '../task/task.js';
import type { ConcurrencyWindow } from './concurrency-window.js';
import { withinTime } from './time-limit.js';

export interface WorkerOptions {
  handler: Handler;
  slots: ConcurrencyWindow;
  keys: QueueKeys;
  /** Works on the group's own retries; undefined for the one that does. */
  retries: Worker | undefined;
  consumer: string;
  lease: WorkerLease;
  link: Link;
  /** What the names of inboxes begin with. */
  inboxes: string;
  clock: Clock;
  untilConfirmed: RetryUntilConfirmed;
  log: FailureSettlerOptions['log'];
}

/** How long a task may lie at hand while its neighbours take longer than they used to. */
const SURPLUS_AFTER_MS = 1_000;

/**
 * Runs the tasks of one stream: at most `concurrency` at a time, with a few more at hand.
 *
 * What it holds is exactly what Redis counts as pending with this process: waiting at hand, running, or finished but
 * not yet confirmed. A process that dies leaves at most `concurrency + prefetch` tasks to run again, for no more are begun before
 * they are confirmed; what was at hand has never run.
 */
export class Worker {
  readonly handler: Handler;
  /** Shared with the other streams of the handler. */
  readonly slots: ConcurrencyWindow;
  readonly keys: QueueKeys;
  readonly lease: WorkerLease;
  readonly retries: Worker | undefined;
  /** There may be something in the stream. Retries are only where several groups read a queue. */
  needed: boolean;
  /** The stream and its group exist, and the lease was taken. */
  open = false;
  /** Our lease had ended: what is at hand may belong to others now, and waits for an audit. */
  leaseDoubtful = false;
  /** Called when there is credit enough to read. */
  onCredit: () => void = () => {};
  /** Called when it has got tasks that it must not start, for the queue is paused. */
  onBufferedWhilePaused: () => void = () => {};
  /** Called when a task was put off, for this stream or the group's own retries: somebody must promote it. */
  onDelayed: (stream: string, delayMs: number) => void = () => {};
  /** Called when an isolated task is settled: the next one may come. */
  onIsolatedSettled: () => void = () => {};
  readonly #clock: Clock;
  readonly #held = new Map<string, Delivery>();
  readonly #acks: AckBatcher;
  readonly #failures: FailureSettler;
  #prefetched: Delivery[] = [];
  #running = 0;
  #draining = false;
  #closed = false;
  #whenChanged: (() => void) | undefined;

  constructor(options: WorkerOptions) {
    const { handler, slots, keys, retries, consumer, lease, link, inboxes, clock, untilConfirmed, log } = options;
    this.#clock = clock;
    this.handler = handler;
    this.slots = slots;
    this.retries = retries;
    this.needed = retries !== undefined;
    slots.workers.push(this);
    this.keys = keys;
    this.lease = lease;
    const { group } = handler.options;
    const onFinished = (): void => {
      this.#offer();
    };
    const onAcked = (deliveries: readonly Delivery[]): void => {
      for (const delivery of deliveries) this.#release(delivery);
      this.#next();
      this.#offer();
    };
    this.#acks = new AckBatcher({ link, stream: keys.stream, group, untilConfirmed, onFinished, onAcked });
    const onDelayed = (stream: string, delayMs: number): void => {
      this.onDelayed(stream, delayMs);
    };
    this.#failures = new FailureSettler({
      ...{ link, keys, retryKeys: retries?.keys ?? keys, queue: handler.queue, group, consumer },
      ...{ options: handler.options, inboxes, clock, onDelayed, untilConfirmed, log },
    });
  }

  /** How many more may come to hand. */
  get credit(): number {
    return this.slots.credit;
  }

  /** Whether to ask Redis for more. */
  get readable(): boolean {
    return (
      this.open && !this.leaseDoubtful && this.lease.held && !this.lease.paused && this.credit >= this.slots.refill
    );
  }

  /** How many tasks wait for their turn. */
  get waiting(): number {
    return this.#prefetched.length;
  }

  /** What is known to be pending with this process: at hand, running, or finished and not yet confirmed. */
  get heldIds(): string[] {
    return [...this.#held.keys()];
  }

  /** Whether it holds a task that has to be the only one of its kind here. */
  get holdsIsolated(): boolean {
    for (const delivery of this.#held.values()) if (this.#isolated(delivery)) return true;
    return false;
  }

  /** Takes what Redis has handed to this process. */
  accept(entries: readonly Entry[]): void {
    if (entries.length > 0) this.slots.adaptive.busy();
    const nowMs = this.#clock.monoMs();
    for (const entry of entries) {
      const known = this.#held.get(entry.id);
      if (known) {
        // Taken over by another process, and from that one by us again: the run under way counts for this delivery.
        known.deliveries = entry.deliveries;
        continue;
      }
      const delivery = new Delivery(this.handler.queue, entry, nowMs);
      this.#held.set(delivery.id, delivery);
      this.slots.held++;
      if (delivery.task) this.#prefetched.push(delivery);
      else void this.#settle(delivery, this.#failures.unreadable(delivery));
    }
    this.#startOrHandBack();
  }

  /** Starts what may start. Without a running lease nothing does: it may be running elsewhere already. */
  pump(): void {
    while (this.#prefetched.length > 0 && !this.#draining && this.slots.free) {
      if (this.leaseDoubtful || !this.lease.held || this.lease.paused) return;
      const delivery = this.#prefetched.shift();
      if (delivery) void this.#run(delivery);
    }
  }

  /** Drops what is at hand and not in `mine` with the same delivery: others have it now. */
  keepOnly(mine: ReadonlyMap<string, number>): void {
    this.#prefetched = this.#prefetched.filter((delivery) => {
      const kept = mine.get(delivery.id) === delivery.deliveries;
      if (!kept) this.#release(delivery);
      return kept;
    });
  }

  /** Starts nothing any more. */
  drain(): void {
    this.#draining = true;
  }

  /** What has been at hand for a second without its turn coming, beyond what the pace asks for. It does not start now. */
  offerPrefetched(): Delivery[] {
    const [oldest] = this.#prefetched;
    if (oldest === undefined || this.#clock.monoMs() - oldest.takenMs < SURPLUS_AFTER_MS) return [];
    return this.#prefetched.splice(this.slots.adaptive.prefetch);
  }

  /** Lets go of what was given back and keeps the rest. Nothing told: it may be others' now, and an audit finds out. */
  settleOffer(offered: readonly Delivery[], given: readonly string[] | undefined): void {
    const gone = new Set(given ?? offered.map(({ id }) => id));
    if (given === undefined) this.leaseDoubtful = true;
    for (const delivery of offered) {
      if (gone.has(delivery.id)) this.#release(delivery);
      else this.#prefetched.push(delivery);
    }
    this.#startOrHandBack();
  }

  /** Gives up what did not start; returns the ids. */
  returnPrefetched(): string[] {
    const ids = this.#prefetched.map((delivery) => delivery.id);
    for (const delivery of this.#prefetched) this.#release(delivery);
    this.#prefetched = [];
    return ids;
  }

  /** Resolves when nothing runs any more. */
  async finished(): Promise<void> {
    while (this.#running > 0) await this.#change();
  }

  /** Resolves when Redis has confirmed all that was finished. */
  async settled(): Promise<void> {
    while (this.#held.size > this.#running) await this.#change();
  }

  /** Aborts what still runs. Whatever comes of it is not settled any more. */
  close(): void {
    this.#closed = true;
    const reason = new DOMException('The app shuts down; another process takes this task over', 'AbortError');
    for (const delivery of this.#held.values()) if (delivery.started) delivery.abort(reason);
  }

  async #run(delivery: Delivery): Promise<void> {
    const { task } = delivery;
    if (task === undefined) return;
    const {
      run,
      options: { timeoutMs },
    } = this.handler;
    this.#running++;
    this.slots.running++;
    delivery.started = true;
    // One async function and one await per task: this is the path of 100,000 tasks a second.
    const told = this.#tell(task);
    try {
      await (timeoutMs === undefined ? run(task) : withinTime(this.#clock, timeoutMs, delivery, run));
    } catch (thrown) {
      this.#ran();
      told?.('failed', { error: thrown });
      if (!this.#closed) this.#failed(delivery, thrown);
      this.#next();
      return;
    }
    this.#ran();
    told?.('completed', {});
    if (!this.#closed) this.#acks.add(delivery);
    this.#next();
  }

  /** Says that a task starts, and returns how to say how it ended; nothing, if nobody listens. */
  #tell({ id, attempt, deliveries }: Task): ((how: 'completed' | 'failed', more: object) => void) | undefined {
    const { started, completed, failed } = channels;
    if (!started.hasSubscribers && !completed.hasSubscribers && !failed.hasSubscribers) return undefined;
    const about = { queue: this.handler.queue, group: this.handler.options.group, id, attempt, deliveries };
    if (started.hasSubscribers) started.publish(about);
    const startedMs = this.#clock.monoMs();
    return (how, more) => {
      if (!channels[how].hasSubscribers) return;
      channels[how].publish({ ...about, ranMs: this.#clock.monoMs() - startedMs, ...more });
    };
  }

  #failed(delivery: Delivery, thrown: unknown): void {
    const disposition = this.#failures.decide(delivery, thrown);
    if (disposition.kind === 'done') this.#acks.add(delivery);
    else void this.#settle(delivery, this.#failures.settleFailure(this.handler.site, delivery, thrown, disposition));
  }

  /** Something came to hand. By a read or an offer that was under way when the queue was paused, it must not stay. */
  #startOrHandBack(): void {
    this.pump();
    if (this.lease.paused && this.#prefetched.length > 0) this.onBufferedWhilePaused();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => (this.#whenChanged = resolve));
  }

  #ran(): void {
    this.slots.adaptive.ended();
    this.#running--;
    this.slots.running--;
  }

  #next(): void {
    this.pump();
    for (const worker of this.slots.workers) if (worker !== this) worker.pump();
    this.#whenChanged?.();
  }

  /** There may be credit enough to read, also for the other streams. */
  #offer(): void {
    if (this.slots.credit < this.slots.refill) return;
    for (const worker of this.slots.workers) worker.onCredit();
  }

  async #settle(delivery: Delivery, settlement: Promise<boolean>): Promise<void> {
    if (!(await settlement)) return;
    this.#release(delivery);
    this.#next();
    this.#offer();
  }

  #release(delivery: Delivery): void {
    if (this.#held.delete(delivery.id) && --this.slots.held === 0) this.slots.adaptive.idle();
    if (this.#isolated(delivery)) this.onIsolatedSettled();
    this.#whenChanged?.();
  }

  /** Two processes died with it: it is not to be blamed for others, nor they for it. */
  #isolated({ deliveries }: Delivery): boolean {
    return deliveries >= Math.max(2, Math.min(3, this.handler.options.maxDeliveries));
  }
}
