import type { Clock } from '../../../redis/index.js';

/** The grace is this part of the window, within the two bounds. */
const PART = 50;
const LEAST_MS = 10;
const USUAL_MOST_MS = 100;
/** More than any reply takes: then the call has failed. */
const MOST_MS = 30_000;
/** After so long without a late reply, the grace is halved. */
const CALM_MS = 60_000;

/**
 * How long after a call of `queue:take` the tasks that it gave may start. The rate's window is longer by this time, so that tasks that
 * start late are no more than the limit allows. A task that is later than that is returned.
 *
 * The grace is a fiftieth of the window at first (10 to 100 ms), and doubles whenever replies come too late for it: a slow network makes
 * a rate a little slower, and not faster. Tasks start in the first half of the grace. The other half is for what happens between the
 * look at the clock and the first line of the handler.
 */
export class StartGrace {
  /** What every process takes its grace to be at least. */
  readonly usualMs: number;
  readonly #clock: Clock;
  #ms: number;
  #changedMs: number;

  constructor(perMs: number, clock: Clock) {
    this.usualMs = Math.ceil(Math.min(Math.max(perMs / PART, LEAST_MS), USUAL_MOST_MS));
    this.#clock = clock;
    this.#ms = this.usualMs;
    this.#changedMs = clock.monoMs();
  }

  /** The grace of a call that is sent now. */
  get ms(): number {
    const nowMs = this.#clock.monoMs();
    if (this.#ms > this.usualMs && nowMs - this.#changedMs >= CALM_MS) {
      this.#ms = Math.max(this.usualMs, this.#ms / 2);
      this.#changedMs = nowMs;
    }
    return this.#ms;
  }

  /** Until when tasks may start that were given by a call with this grace. */
  startBy(sentMs: number, graceMs: number): number {
    return sentMs + graceMs / 2;
  }

  /** Tasks came too late to start. Those of one reply count once. */
  missed(): void {
    const nowMs = this.#clock.monoMs();
    if (this.#ms > this.usualMs && nowMs - this.#changedMs < this.#ms) return;
    this.#ms = Math.min(MOST_MS, this.#ms * 2);
    this.#changedMs = nowMs;
  }
}
