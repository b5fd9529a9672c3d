/** Cancels a timer; harmless when it already fired. */
export type CancelTimer = () => void;

/**
 * The time, injected so that tests can set it.
 *
 * `wallMs` (Unix epoch) names instants that other processes know. `monoMs` measures durations: this clock never steps, but stops
 * while the machine sleeps. Work that must not go on after the end of a lease checks both clocks.
 */
export interface Clock {
  wallMs(): number;
  monoMs(): number;
  /** Calls `fire` once after `ms`. Never keeps the process alive. */
  timer(ms: number, fire: () => void): CancelTimer;
}

/** The longest time of a timer in Node, in milliseconds. */
const TIMER_MAX_MS = 2_147_483_647;

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  timer(ms, fire) {
    // A longer timer would fire at once, again and again. A caller that waits for an instant reads the clock when this one fires.
    const handle = setTimeout(fire, Math.min(ms, TIMER_MAX_MS));
    handle.unref();
    return () => {
      clearTimeout(handle);
    };
  },
};
