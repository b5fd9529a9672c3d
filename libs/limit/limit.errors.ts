import { SluiceError, isSluiceError } from '../weave/index.js';
import type { RateLimitDecision } from './rate-limit-decision.js';

/**
 * A call was refused by a rate limit: `take`, or a method with `@RateLimit`. `consume` and `reserve` do not throw on a refusal.
 *
 * `decision.retryAfterMs` tells when a call would be admitted; `Infinity`: never, because it costs more than the limit.
 */
export class RateLimitedError extends SluiceError {
  constructor(
    /** The name of the rate limit. */
    readonly rateLimit: string,
    readonly decision: RateLimitDecision,
  ) {
    const { retryAfterMs } = decision;
    const when = Number.isFinite(retryAfterMs) ? `try again after ${retryAfterMs} ms` : 'it costs more than the limit';
    super('SLUICE_RATE_LIMITED', `rate limit '${rateLimit}' refused the call: ${when}`);
  }

  /** Milliseconds until a call would be admitted. */
  get retryAfterMs(): number {
    return this.decision.retryAfterMs;
  }
}

/** Checks the code of the error, because the service may come from another copy of this package than the decorator. */
export function isRateLimited(error: unknown): error is RateLimitedError {
  return isSluiceError(error, 'SLUICE_RATE_LIMITED');
}
