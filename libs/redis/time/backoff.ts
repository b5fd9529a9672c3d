/** A source of uniform random numbers in [0, 1). */
export type Random = () => number;

/**
 * Exponential back-off with full jitter: a uniform draw from [0, min(maxMs, minMs · 2^attempt)], never below
 * `minMs`/2, so that a fleet which failed together does not return together.
 *
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function backoffMs(attempt: number, minMs: number, maxMs: number, random: Random = Math.random): number {
  const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30));
  return Math.max(minMs / 2, random() * ceiling);
}
