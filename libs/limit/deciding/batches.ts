import type { RateLimitDecision } from '../rate-limit-decision.js';
import type { LimitRequest, LimitRun } from '../store/limit-rule.js';
import type { KnownLimit } from './known-limit.js';

/** What was charged, for those who settle or cancel it. */
export interface Charge extends LimitRequest {
  readonly by: 'redis' | 'local';
  /** The instant of the charge on the clock that counts, in µs; 0: unknown, so that it cannot be given back. */
  readonly atUs: number;
  /** µs from that instant to the turn, and to the end of the turn. */
  readonly dueUs: number;
  readonly endsUs: number;
}

/** One call that waits for its decision. */
export interface LimitCall {
  readonly cost: number;
  readonly waitUs: number;
  /** The limit that came with the call. */
  readonly limit?: number | undefined;
  readonly decided: (decision: RateLimitDecision, charge?: Charge) => void;
  readonly failed: (error: unknown) => void;
}

/** The calls of one turn on one limit and key. */
export interface Batch {
  readonly known: KnownLimit;
  readonly key: string;
  readonly keys: readonly string[];
  readonly limits: readonly number[];
  readonly calls: LimitCall[];
}

/** Batches that ask the same of one limit, about one key each. */
export type Group = [Batch, ...Batch[]];

/**
 * Puts batches together that can be one script: of one limit with the same numbers, where one call each asks for the same units.
 * Several limits that have a key in common are never in one group, so no key is charged twice under one nonce.
 *
 * @param keysAtOnce how many keys a group may have. A batch with more is a group by itself
 */
export function groupsOf(batches: Iterable<Batch>, keysAtOnce: number): Group[] {
  const groups: Group[] = [];
  const open = new Map<KnownLimit, Group>();
  for (const batch of batches) {
    const group = open.get(batch.known);
    if (group !== undefined && asksTheSame(group[0], batch) && (group.length + 1) * batch.keys.length <= keysAtOnce) {
      group.push(batch);
      continue;
    }
    const next: Group = [batch];
    groups.push(next);
    open.set(batch.known, next);
  }
  return groups;
}

function asksTheSame(one: Batch, other: Batch): boolean {
  const [first, ...more] = one.calls;
  const [call, ...others] = other.calls;
  if (more.length > 0 || others.length > 0 || first?.cost !== call?.cost || first?.waitUs !== call?.waitUs)
    return false;
  if (one.limits === other.limits) return true;
  // Numbers of the call's own. The same numbers of the limit itself are another batch, which may be about the same key.
  const { known } = one;
  if (one.limits === known.limits || other.limits === known.limits) return false;
  return one.limits.every((limit, i) => limit === other.limits[i]);
}

/** Neighbours of one cost and one wait are one run. */
export function runsOf(calls: readonly LimitCall[]): LimitRun[] {
  const runs: { cost: number; waitUs: number; calls: number }[] = [];
  for (const { cost, waitUs } of calls) {
    const last = runs.at(-1);
    if (last?.cost === cost && last.waitUs === waitUs) last.calls++;
    else runs.push({ cost, waitUs, calls: 1 });
  }
  return runs;
}
