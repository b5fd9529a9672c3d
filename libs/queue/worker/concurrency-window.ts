import type { Clock } from '../../redis/index.js';
import { AdaptivePrefetch } from './adaptive-prefetch.js';

/** What is prefetched, at most, in characters of payload. */
const PREFETCH_CHARS = 4 * 2 ** 20;
/** What one read is to bring, at most, in characters of payload. */
const READ_CHARS = 16 * 2 ** 20;

/** A worker on one stream of the handler. */
interface WindowMember {
  /** How many prefetched tasks wait here. */
  readonly waiting: number;
  /** Starts what may start. */
  pump(): void;
  /** There is credit enough to read. */
  creditGained(): void;
}

/**
 * What one handler may run and hold in this process. Shared by the streams that feed the handler: its queue, and its
 * group's retries.
 *
 * Two things are limited to `concurrency + prefetch`:
 *
 * - what is prefetched or runs, so that no process hoards work;
 * - what has begun and is not confirmed as settled. A process that dies leaves that many tasks to be run again.
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
  /** How large tasks are, in characters: rises at once, and falls by halves. */
  #charsPerTask = 0;
  /** `concurrency + prefetch`, as of the last look at the credit. */
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

  /** A read pays when there is at least this much credit: batches are large, and the worker never runs dry. */
  get refill(): number {
    return Math.max(1, Math.ceil(this.prefetch / 2));
  }

  /** How many tasks to prefetch beyond those that run: as the pace asks for, but no more than fit into some megabytes. */
  get prefetch(): number {
    return Math.min(this.#adaptive.prefetch, Math.floor(PREFETCH_CHARS / Math.max(1, this.#charsPerTask)));
  }

  /** How many tasks one read may bring, by the size of those before. */
  get readMost(): number {
    return Math.max(1, Math.floor(READ_CHARS / Math.max(1, this.#charsPerTask)));
  }

  /** A read was answered with so many tasks, of so many characters in all. */
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

  /** There may be room to start a task: the worker that made the room comes first. */
  pump(first: WindowMember): void {
    first.pump();
    for (const member of this.#members) if (member !== first) member.pump();
  }

  /** Tells all workers of the handler when there is credit enough to read. */
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
