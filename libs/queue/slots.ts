import type { Clock } from '../redis/index.js';
import { Pace } from './pace.js';

/** What works on one stream of the handler. */
interface Feeder {
  pump(): void;
  onCredit: () => void;
}

/**
 * The places of one handler in this process, shared by the streams that feed it: its queue, and its group's retries.
 *
 * What counts against `concurrency`, and against the credit, counts for the handler as a whole.
 */
export class Slots {
  /** How many of its tasks run. */
  running = 0;
  /** How many are pending with this process: at hand, running, or finished and not yet confirmed. */
  held = 0;
  readonly pace: Pace;
  readonly workers: Feeder[] = [];
  readonly #concurrency: number;

  constructor(concurrency: number, clock: Clock) {
    this.#concurrency = concurrency;
    this.pace = new Pace(clock);
  }

  /** How many more entries may become pending with this process. */
  get credit(): number {
    return this.#concurrency + this.pace.prefetch - this.held;
  }

  /** It pays to read when there is at least this much credit: larger batches, without ever running dry. */
  get refill(): number {
    return Math.max(1, Math.ceil(this.pace.prefetch / 2));
  }
}
