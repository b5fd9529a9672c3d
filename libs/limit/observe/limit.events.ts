import { debugLog } from '../../redis/index.js';
import type { RateLimitDecision } from '../rate-limit-decision.js';
import { channels } from './limit.channels.js';
import { LimitTally, type LimitStats } from './limit.stats.js';

/** On with `NODE_DEBUG=sluice:limit`. */
const debug = debugLog('limit');

/** The part of a limit at which it counts as nearly used up. */
const NEAR = 0.2;

/** One decision about one call. */
export interface Decided {
  readonly name: string;
  readonly key: string;
  readonly cost: number;
  readonly isDryRun: boolean;
  readonly decision: RateLimitDecision;
  /** The same for each of the rate limits that were asked together; undefined: it was one. */
  readonly each: readonly Decided[] | undefined;
}

/** What the rate limits of one service decide: counted, published on channels, and written to the debug log. */
export class LimitEvents {
  readonly #tally = new LimitTally();

  stats(): LimitStats {
    return this.#tally.stats();
  }

  allowed({ name, key, cost, decision, each }: Decided): void {
    if (each !== undefined) {
      for (const one of each) this.allowed(one);
      return;
    }
    const counts = this.#tally.of(name);
    counts.allowed++;
    debug?.("'%s' admits a call of %d for a key: %d left", name, cost, decision.remaining);
    if (!isNear(decision, cost)) return;
    counts.neared++;
    if (channels.neared.hasSubscribers) channels.neared.publish({ name, key, decision });
  }

  refused({ name, key, cost, isDryRun, decision, each }: Decided, isRemembered: boolean): void {
    if (each !== undefined) {
      for (const one of each) this.refused(one, isRemembered);
      return;
    }
    const counts = this.#tally.of(name);
    counts.refused++;
    if (isRemembered) counts.remembered++;
    debug?.("'%s' refuses a call of %d for a key: %o are used up", name, cost, decision.violated);
    if (channels.refused.hasSubscribers) channels.refused.publish({ name, key, cost, dryRun: isDryRun, decision });
  }

  undecided({ name, key, decision, each }: Decided, error: unknown): void {
    if (each !== undefined) {
      for (const one of each) this.undecided(one, error);
      return;
    }
    this.#tally.of(name).undecided++;
    debug?.("'%s' is decided without Redis, %s: %s", name, decision.decidedBy, error);
    if (channels.undecided.hasSubscribers) channels.undecided.publish({ name, key, decision, error });
  }
}

/** Whether this call took units of the last fifth of a limit. */
function isNear({ limits }: RateLimitDecision, cost: number): boolean {
  if (cost === 0) return false;
  for (const { limit, remaining } of limits) if (remaining <= limit * NEAR && remaining < limit) return true;
  return false;
}
