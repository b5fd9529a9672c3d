import type { Clock } from '../../redis/index.js';
import { AdaptivePrefetch } from './adaptive-prefetch.js';

/** What works on one stream of the handler. */
interface Feeder {
  /** How many tasks wait here for their turn. */
  readonly waiting: number;
  pump(): void;
  onCredit: () => void;
}

/**
 * The places of one handler in this process, shared by the streams that feed it: its queue, and its group's retries.
 *
 * What counts against `concurrency`, and against the credit, counts for the handler as a whole. Two things are limited to
 * `concurrency + prefetch`: what is at hand or runs, so that no process sits on work; and what has begun and is not confirmed as
 * settled, which is what a process that dies leaves to be repeated.
 */
export class ConcurrencyWindow {
  /** How many of its tasks run. */
  running = 0;
  /** How many are pending with this process: at hand, running, or finished and not yet confirmed. */
  held = 0;
  readonly adaptive: AdaptivePrefetch;
  readonly workers: Feeder[] = [];
  readonly #concurrency: number;
  /** `concurrency + prefetch`, when the credit was last looked at. */
  #window: number;

  constructor(concurrency: number, clock: Clock) {
    this.#concurrency = concurrency;
    this.#window = concurrency;
    this.adaptive = new AdaptivePrefetch(clock);
  }

  /** How many more may come to hand. */
  get credit(): number {
    this.#window = this.#concurrency + this.adaptive.prefetch;
    return this.#window - this.running - this.#waiting;
  }

  /** Whether one more may begin. */
  get free(): boolean {
    return this.running < this.#concurrency && this.held - this.#waiting < this.#window;
  }

  /** It pays to read when there is at least this much credit: larger batches, without ever running dry. */
  get refill(): number {
    return Math.max(1, Math.ceil(this.adaptive.prefetch / 2));
  }

  get #waiting(): number {
    let waiting = 0;
    for (const worker of this.workers) waiting += worker.waiting;
    return waiting;
  }
}
