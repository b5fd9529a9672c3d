import { GenerationalMap, type Clock } from '../../redis/index.js';
import type { RateLimitDecision } from '../rate-limit-decision.js';

/** How many keys are remembered at most. */
const REMEMBERED = 10_000;

/** How many refusals of one key are remembered, each of another cost or of a limit that came with the call. */
const COSTS = 8;

/** How long a refusal is remembered at most: after that, Redis may have got units back. */
const LONGEST_MS = 1_000;

interface Refusal {
  readonly cost: number;
  readonly limit: number | undefined;
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly decision: RateLimitDecision;
  /** The decision as of `atMs`. A flood of calls gets one object per millisecond. */
  current: RateLimitDecision;
  atMs: number;
}

/**
 * The refusals of the last second, by key. A call that was refused is refused again without a question to Redis: a flood costs one
 * command per key, cost, process and second.
 *
 * Each cost has its own refusal, and so has each limit that came with calls. A larger call would be refused as well, but for a longer time, which Redis has to say.
 */
export class RefusalMemory {
  readonly #clock: Clock;
  readonly #refusals = new GenerationalMap<string, Refusal[]>({ size: REMEMBERED / 2 });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param limit the limit that came with the call; undefined: that of the definition or of the key */
  add(key: string, cost: number, limit: number | undefined, decision: RateLimitDecision): void {
    const sinceMs = this.#clock.monoMs();
    const untilMs = sinceMs + Math.min(decision.retryAfterMs, LONGEST_MS);
    const refusal = { cost, limit, sinceMs, untilMs, decision, current: decision, atMs: sinceMs };
    const others = (this.#refusals.get(key) ?? []).filter((other) => {
      return (other.cost !== cost || other.limit !== limit) && other.untilMs > sinceMs;
    });
    this.#refusals.set(key, [refusal, ...others].slice(0, COSTS));
  }

  /** The refusal that a call of this cost gets again; undefined if Redis has to decide. */
  get(key: string, cost: number, limit: number | undefined): RateLimitDecision | undefined {
    const refusals = this.#refusals.get(key);
    if (refusals === undefined) return undefined;
    for (const each of refusals) if (each.cost === cost && each.limit === limit) return this.#asOfNow(each);
    return undefined;
  }

  delete(key: string): void {
    this.#refusals.delete(key);
  }

  #asOfNow(refusal: Refusal): RateLimitDecision | undefined {
    const nowMs = this.#clock.monoMs();
    if (nowMs >= refusal.untilMs) return undefined;
    if (nowMs - refusal.atMs >= 1) {
      refusal.current = passed(refusal.decision, nowMs - refusal.sinceMs);
      refusal.atMs = nowMs;
    }
    return refusal.current;
  }
}

/** A decision as it would be some time later. */
function passed(decision: RateLimitDecision, ms: number): RateLimitDecision {
  const less = (time: number): number => Math.max(0, Math.ceil(time - ms));
  const limits = decision.limits.map((limit) => ({ ...limit, resetMs: less(limit.resetMs) }));
  return {
    ...decision,
    limits,
    resetMs: less(decision.resetMs),
    retryAfterMs: Math.max(1, less(decision.retryAfterMs)),
  };
}
