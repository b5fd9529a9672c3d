import type { Clock } from '../../redis/index.js';
import { AdaptivePrefetch } from './adaptive-prefetch.js';

/** The most that is prefetched, in characters of payload. */
const PREFETCH_CHARS = 4 * 2 ** 20;
/** The most that one read should bring, in characters of payload. */
const READ_CHARS = 16 * 2 ** 20;

/** A worker on one stream of the handler. */
interface WindowMember {
  /** How many prefetched tasks wait here. */
  readonly waiting: number;
  /** Starts the tasks that may start. */
  pump(): void;
  /** There is enough credit to read. */
  creditGained(): void;
}

/**
 * Limits how many tasks one handler may run and hold in this process. The streams of the handler share one window: its queue, and
 * its group's retries.
 *
 * Two numbers are limited to `concurrency + prefetch`:
 *
 * - tasks that are prefetched or run, so that no process keeps work that others could do;
 * - tasks that have begun and are not confirmed as settled. When a process dies, at most that many tasks run again.
 *
 * @see docs/internals/queue.md#a-worker
 */
export class ConcurrencyWindow {
  readonly #adaptive: AdaptivePrefetch;
  readonly #members: WindowMember[] = [];
  readonly #concurrency: number;
  /** Tasks that run. */
  #running = 0;
  /** Tasks that are pending with this process: prefetched, running, or finished and not yet confirmed. */
  #held = 0;
  /** An estimate of a task's size, in characters. It rises at once. With each read it falls by half of the difference. */
  #charsPerTask = 0;
  /** `concurrency + prefetch`, as of the last time that the credit was read. */
  #window: number;

  constructor(concurrency: number, clock: Clock) {
    this.#concurrency = concurrency;
    this.#window = concurrency;
    this.#adaptive = new AdaptivePrefetch(clock);
  }

  /** A further worker shares this window. */
  add(member: WindowMember): void {
    this.#members.push(member);
  }

  /** How many more tasks may be read. */
  get credit(): number {
    this.#window = this.#concurrency + this.prefetch;
    return this.#window - this.#running - this.#waiting;
  }

  /** Whether one more task may start. */
  get free(): boolean {
    return this.#running < this.#concurrency && this.#held - this.#waiting < this.#window;
  }

  /** The credit from which on a read is worthwhile: batches are large, and the worker never runs out of tasks. */
  get refill(): number {
    return Math.max(1, Math.ceil(this.prefetch / 2));
  }

  /** How many tasks to prefetch beyond those that run: as many as the pace needs, but no more than fit into some megabytes. */
  get prefetch(): number {
    return Math.min(this.#adaptive.prefetch, Math.floor(PREFETCH_CHARS / Math.max(1, this.#charsPerTask)));
  }

  /** How many tasks one read may bring, estimated from the size of earlier tasks. */
  get readMost(): number {
    return Math.max(1, Math.floor(READ_CHARS / Math.max(1, this.#charsPerTask)));
  }

  /** A read brought this number of tasks, with this number of characters in all. */
  delivered(tasks: number, chars: number): void {
    this.#adaptive.busy();
    const mean = chars / tasks;
    this.#charsPerTask = Math.max(mean, (this.#charsPerTask + mean) / 2);
  }

  /** One more task is pending with this process. */
  hold(): void {
    this.#held++;
  }

  /** A task is no longer pending with this process. */
  release(): void {
    if (--this.#held === 0) this.#adaptive.idle();
  }

  /** A task starts. */
  begin(): void {
    this.#running++;
  }

  /** A task has finished. */
  end(): void {
    this.#adaptive.ended();
    this.#running--;
  }

  /** There may be room to start a task. The worker that made the room is asked first. */
  pump(first: WindowMember): void {
    first.pump();
    for (const member of this.#members) if (member !== first) member.pump();
  }

  /** Tells all workers of the handler if there is enough credit to read. */
  offerCredit(): void {
    if (this.credit < this.refill) return;
    for (const member of this.#members) member.creditGained();
  }

  get #waiting(): number {
    let waiting = 0;
    for (const member of this.#members) waiting += member.waiting;
    return waiting;
  }
}
