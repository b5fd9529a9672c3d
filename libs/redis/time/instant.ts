import type { Clock } from './clock.js';

/** One moment on both of a process' clocks. */
export interface Instant {
  readonly monoMs: number;
  readonly wallMs: number;
}

export function instantOf(clock: Clock): Instant {
  return { monoMs: clock.monoMs(), wallMs: clock.wallMs() };
}

/**
 * The part of a lease that is certain: all but a thousandth, because the server's clock may be slewed against the clock of this
 * machine (NTP: at most 500 ppm each).
 */
export function certainMs(ttlMs: number): number {
  return ttlMs * 0.999;
}

/**
 * How much of a lease that was asked for at `from` is still certain `now`, in milliseconds. At 0 or less, nothing is certain.
 *
 * The lease is counted from the moment when the request was *sent*, because the server granted it later than that. It is counted
 * on both clocks, and the stricter result is used: the monotonic clock stands still while the machine is suspended, and the wall
 * clock may be set back.
 */
export function remainingMs(now: Instant, from: Instant, ttlMs: number): number {
  const elapsedMs = Math.max(now.monoMs - from.monoMs, now.wallMs - from.wallMs);
  return certainMs(ttlMs) - elapsedMs;
}
