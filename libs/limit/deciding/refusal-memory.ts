import { GenerationalMap, type Clock } from '../../redis/index.js';
import type { RateLimitDecision } from '../rate-limit-decision.js';

/** How many keys are remembered at most. */
const REMEMBERED = 10_000;

/** How long a refusal is remembered at most: after that, Redis may have got units back. */
const LONGEST_MS = 1_000;

interface Refusal {
  readonly cost: number;
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly decision: RateLimitDecision;
  /** The decision as of `atMs`. A flood of calls gets one object per millisecond. */
  current: RateLimitDecision;
  atMs: number;
}

/**
 * The refusals of the last second, by key. A key that was refused is refused again, to calls of at least the same cost, without a
 * question to Redis: a flood costs one command per key, process and second.
 */
export class RefusalMemory {
  readonly #clock: Clock;
  readonly #refusals = new GenerationalMap<string, Refusal>({ size: REMEMBERED / 2 });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(key: string, cost: number, decision: RateLimitDecision): void {
    const sinceMs = this.#clock.monoMs();
    const untilMs = sinceMs + Math.min(decision.retryAfterMs, LONGEST_MS);
    const known = this.#refusals.get(key);
    // A smaller call that was refused says more than a larger one.
    if (known !== undefined && known.cost < cost && known.untilMs > sinceMs) return;
    this.#refusals.set(key, { cost, sinceMs, untilMs, decision, current: decision, atMs: sinceMs });
  }

  /** The refusal that a call of this cost gets again; undefined if Redis has to decide. */
  get(key: string, cost: number): RateLimitDecision | undefined {
    const refusal = this.#refusals.get(key);
    if (refusal === undefined || refusal.cost > cost) return undefined;
    const nowMs = this.#clock.monoMs();
    if (nowMs >= refusal.untilMs) {
      this.#refusals.delete(key);
      return undefined;
    }
    if (nowMs - refusal.atMs >= 1) {
      refusal.current = passed(refusal.decision, nowMs - refusal.sinceMs);
      refusal.atMs = nowMs;
    }
    return refusal.current;
  }

  delete(key: string): void {
    this.#refusals.delete(key);
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
