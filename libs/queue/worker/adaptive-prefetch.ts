import type { Clock } from '../../redis/index.js';

/** Prefetched tasks should last this long: a round trip and an acknowledgement, with a margin for a slow network. */
const PREFETCH_MS = 50;
/** The largest prefetch, however fast tasks are. */
const MOST = 500;
/** The pace is measured over at least this much working time. */
const MEASURED_MS = 10;

/**
 * How many tasks a worker should prefetch beyond those that run, so that it need not wait for Redis between two tasks.
 *
 * With too few, a worker with short tasks waits for round trips. With too many, a busy process keeps tasks that an idle process
 * could run, and more tasks have to be repeated when the process dies. No fixed number suits both tasks of 0.1 ms and tasks of a
 * minute. So the number follows from the pace: about as many tasks as end within 50 ms, at most 500. If a task takes a second
 * and ten tasks run at a time, the number is 0.
 *
 * The pace is measured while there is work. A drop of the pace counts at once, because no task has ended for that long. A rise
 * counts within 10 ms of work.
 */
export class AdaptivePrefetch {
  readonly #clock: Clock;
  /** Tasks per millisecond; undefined until measured. */
  #rate: number | undefined;
  #ended = 0;
  #workedMs = 0;
  /** Since when there is work without a pause. */
  #sinceMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** There is work. */
  busy(): void {
    this.#sinceMs ??= this.#clock.monoMs();
  }

  /** There is no work. */
  idle(): void {
    this.#workedMs = this.#worked();
    this.#sinceMs = undefined;
  }

  /** A task ended, or so many at once. */
  ended(tasks = 1): void {
    this.#ended += tasks;
  }

  /** How many tasks to prefetch. */
  get prefetch(): number {
    return Math.min(MOST, Math.floor(this.#estimate() * PREFETCH_MS));
  }

  #estimate(): number {
    const worked = this.#worked();
    const ended = this.#ended;
    if (ended > 0 && worked >= MEASURED_MS) {
      const measured = ended / worked;
      this.#rate = this.#rate === undefined ? measured : (this.#rate + measured) / 2;
      this.#ended = 0;
      this.#workedMs = 0;
      if (this.#sinceMs !== undefined) this.#sinceMs = this.#clock.monoMs();
      return Math.min(this.#rate, 2 * measured);
    }
    if (this.#rate === undefined) return ended / Math.max(1, worked);
    // If the next task ended now, the pace would be this.
    return Math.min(this.#rate, (ended + 1) / worked);
  }

  #worked(): number {
    return this.#workedMs + (this.#sinceMs === undefined ? 0 : this.#clock.monoMs() - this.#sinceMs);
  }
}
