import type { RateLimitDecision } from '../rate-limit-decision.js';
import type { LimitReply, LimitRule, LimitRunReply } from '../store/limit-rule.js';
import type { KnownLimit } from './known-limits.js';

/** While Redis does not answer, a call that was refused may try again after this time, in milliseconds. */
const POLICY_RETRY_MS = 1_000;

/** The reply about one run of calls, for the decisions about each of them. */
export interface DecidedRun {
  readonly known: KnownLimit;
  readonly rules: readonly LimitRule[];
  readonly reply: Pick<LimitReply, 'resetUs'>;
  readonly run: LimitRunReply;
  readonly decidedBy: 'redis' | 'local';
}

/**
 * The decision about one call of a run.
 *
 * @param laterUnits units of the run that were charged after this call
 */
export function decisionOf(decided: DecidedRun, isGranted: boolean, laterUnits: number): RateLimitDecision {
  const { known, rules, reply, run, decidedBy } = decided;
  const limits = rules.map(({ limit, spanUs, kind, y }, i) => {
    const most = kind === 'b' || kind === 'p' ? y : limit;
    return {
      name: known.labels[i] ?? known.name,
      limit,
      perMs: spanUs / 1_000,
      remaining: Math.min(most, (run.left[i] ?? 0) + laterUnits),
      resetMs: Math.ceil((reply.resetUs[i] ?? 0) / 1_000),
    };
  });
  const least = limits.reduce((a, b) => (b.remaining < a.remaining ? b : a));
  const { limit, remaining, resetMs } = least;
  return {
    allowed: isGranted || known.isDryRun,
    remaining,
    limit,
    resetMs,
    retryAfterMs: isGranted ? 0 : retryMs(decided),
    violated: isGranted ? [] : known.labels.filter((_, i) => (run.violated >> i) & 1),
    limits,
    decidedBy,
  };
}

function retryMs({ run, decidedBy }: DecidedRun): number {
  if (run.retryUs >= 0) return Math.max(1, Math.ceil(run.retryUs / 1_000));
  // More than this process' share is not more than the limit.
  return decidedBy === 'local' ? POLICY_RETRY_MS : Infinity;
}

/** The decision of `onUnavailable: 'allow'` and `'deny'`. */
export function policyDecision(known: KnownLimit, rules: readonly LimitRule[], allows: boolean): RateLimitDecision {
  const limits = rules.map(({ limit, spanUs }, i) => {
    return {
      name: known.labels[i] ?? known.name,
      limit,
      perMs: spanUs / 1_000,
      remaining: allows ? limit : 0,
      resetMs: allows ? 0 : POLICY_RETRY_MS,
    };
  });
  const { limit = 0, remaining = 0, resetMs = 0 } = limits[0] ?? {};
  const violated = allows ? [] : known.labels;
  const retryAfterMs = allows ? 0 : POLICY_RETRY_MS;
  return {
    allowed: allows || known.isDryRun,
    remaining,
    limit,
    resetMs,
    retryAfterMs,
    violated,
    limits,
    decidedBy: 'policy',
  };
}
