import type { Decided } from '../observe/limit.events.js';
import type { LimitState, RateLimitDecision } from '../rate-limit-decision.js';
import type { LimitReply, LimitRule, LimitRunReply } from '../store/limit-rule.js';
import type { KnownLimit } from './known-limit.js';

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
  const limits: LimitState[] = [];
  for (const [i, { limit, spanUs, kind, y }] of rules.entries()) {
    const most = kind === 'b' || kind === 'p' ? y : limit;
    limits.push({
      name: known.labels[i] ?? known.name,
      limit,
      perMs: spanUs / 1_000,
      remaining: Math.min(most, (run.left[i] ?? 0) + laterUnits),
      resetMs: Math.ceil((reply.resetUs[i] ?? 0) / 1_000),
    });
  }
  const { limit, remaining, resetMs } = leastOf(limits);
  return {
    allowed: isGranted || known.isDryRun,
    limit,
    remaining,
    resetMs,
    retryAfterMs: isGranted ? 0 : retryMs(decided),
    violated: isGranted ? NONE : known.labels.filter((_, i) => (run.violated >> i) & 1),
    limits,
    decidedBy,
  };
}

/** The limits that refused an admitted call: none. All these decisions share the list. */
const NONE: readonly string[] = Object.freeze([]);
const NO_STATE = { limit: 0, remaining: 0, resetMs: 0 };

/** What the limit with the fewest units left says. */
function leastOf(limits: readonly LimitState[]): Pick<RateLimitDecision, 'limit' | 'remaining' | 'resetMs'> {
  let least = limits[0];
  for (const state of limits) if (least === undefined || state.remaining < least.remaining) least = state;
  return least ?? NO_STATE;
}

function retryMs({ run, decidedBy }: DecidedRun): number {
  if (run.retryUs >= 0) return Math.max(1, Math.ceil(run.retryUs / 1_000));
  // More than this process' share is not more than the limit.
  return decidedBy === 'local' ? POLICY_RETRY_MS : Infinity;
}

/** A decision about one call, for counts and channels. */
export function decidedOf(known: KnownLimit, key: string, cost: number, decision: RateLimitDecision): Decided {
  const { name, isDryRun, members } = known;
  const each = members.length === 0 ? undefined : eachOf(members, key, cost, decision);
  return { name, key, cost, isDryRun, decision, each };
}

/**
 * The decision as each of the rate limits sees it that were asked together. Those with room are left out of a refusal: they
 * neither admitted the call nor refused it.
 */
function eachOf(members: readonly KnownLimit[], key: string, cost: number, decision: RateLimitDecision): Decided[] {
  const isRefused = decision.violated.length > 0;
  const each: Decided[] = [];
  let next = 0;
  for (const { name, isDryRun, keyNames } of members) {
    const limits = decision.limits.slice(next, (next += keyNames.length));
    const violated = decision.violated.filter((keyName) => keyNames.includes(keyName));
    if (isRefused && violated.length === 0) continue;
    const { limit, remaining, resetMs } = leastOf(limits);
    const own = { ...decision, limit, remaining, resetMs, limits, violated };
    each.push({ name, key, cost, isDryRun, decision: own, each: undefined });
  }
  return each;
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
