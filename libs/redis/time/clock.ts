/** Cancels a timer; harmless when it already fired. */
export type CancelTimer = () => void;

/**
 * Time, injected, so that tests can own it.
 *
 * `wallMs` (Unix epoch) names instants that other processes know; `monoMs` measures durations: it never steps,
 * but stops while the machine sleeps. Whatever must not outlive a lease checks both.
 */
export interface Clock {
  wallMs(): number;
  monoMs(): number;
  /** Calls `fire` once after `ms`. Never keeps the process alive. */
  timer(ms: number, fire: () => void): CancelTimer;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  timer(ms, fire) {
    const handle = setTimeout(fire, ms);
    handle.unref();
    return () => {
      clearTimeout(handle);
    };
  },
};
