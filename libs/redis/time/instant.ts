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
 * What of a lease can be counted on: all but a thousandth, because the server's clock may be slewed against ours
 * (NTP: at most 500 ppm each).
 */
export function certainMs(ttlMs: number): number {
  return ttlMs * 0.999;
}

/**
 * How much of a lease that was asked for at `from` is still certain `now`, in milliseconds; from 0 down, nothing is.
 *
 * Counted from the moment the request was *sent*: whenever the server granted it, it was later. On both clocks, the
 * stricter wins: the monotonic one stands still while the machine is suspended, the wall clock may be set back.
 */
export function remainingMs(now: Instant, from: Instant, ttlMs: number): number {
  const elapsedMs = Math.max(now.monoMs - from.monoMs, now.wallMs - from.wallMs);
  return certainMs(ttlMs) - elapsedMs;
}
