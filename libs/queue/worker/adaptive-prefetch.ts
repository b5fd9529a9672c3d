import type { Clock } from '../../redis/index.js';

/** What is prefetched shall last so long: a round trip and an acknowledgement, with room for a slow network. */
const PREFETCH_MS = 50;
/** The largest prefetch, however fast tasks are. */
const MOST = 500;
/** How much work it takes to measure the pace. */
const MEASURED_MS = 10;

/**
 * How many tasks a worker should prefetch beyond those that run, so that it need not wait for Redis between two.
 *
 * Too few, and a worker with short tasks waits for round trips; too many, and a busy process sits on tasks that an
 * idle one could run, and leaves more to repeat when it dies. No fixed number suits both tasks of 0.1 ms and of a
 * minute, so the number follows from the pace: about as many as end within 50 ms, at most 500. Where a task takes a second and
 * ten run at a time, that is none.
 *
 * The pace is measured while there is work. A drop counts at once (nothing ended for that long), a rise within 10 ms of
 * work.
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

  /** There is none. */
  idle(): void {
    this.#workedMs = this.#worked();
    this.#sinceMs = undefined;
  }

  /** A task ended. */
  ended(): void {
    this.#ended++;
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
    // If the next one ended now, it would be this fast.
    return Math.min(this.#rate, (ended + 1) / worked);
  }

  #worked(): number {
    return this.#workedMs + (this.#sinceMs === undefined ? 0 : this.#clock.monoMs() - this.#sinceMs);
  }
}
