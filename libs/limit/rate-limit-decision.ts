/** What one of the limits of a decision says. */
export interface LimitState {
  /** The name of the limit among several of one definition; else the name of the definition. */
  readonly name: string;
  /** Units per window. */
  readonly limit: number;
  /** The length of the window in milliseconds. */
  readonly perMs: number;
  /** Units that are left. */
  readonly remaining: number;
  /** Milliseconds until all units are left, if no other call comes. */
  readonly resetMs: number;
}

/** The answer of `consume`: whether the call may go on, and what is left. */
export interface RateLimitDecision {
  /** Whether the call may go on. With `dryRun`, always true. */
  readonly allowed: boolean;
  /** Units that are left; of several limits, of the one with the fewest. */
  readonly remaining: number;
  /** Units per window of that limit. */
  readonly limit: number;
  /** Milliseconds until all of its units are left again, if no other call comes. */
  readonly resetMs: number;
  /** Milliseconds until a call of this cost would be admitted. 0: it was. `Infinity`: never, it costs more than the limit. */
  readonly retryAfterMs: number;
  /** The limits that had no room. With `dryRun`, there may be some although the call is allowed. */
  readonly violated: readonly string[];
  /** Each limit of the definition. */
  readonly limits: readonly LimitState[];
  /**
   * `'redis'`: by the counters of the fleet. `'local'`: Redis did not answer, so by this process' share. `'policy'`: Redis did not
   * answer, and `onUnavailable` says `'allow'` or `'deny'`.
   */
  readonly decidedBy: 'redis' | 'local' | 'policy';
}

/** An answer of `reserve`. Units that are neither settled nor cancelled stay charged. */
export interface Reservation extends RateLimitDecision {
  /**
   * Says how many units were used: fewer are given back, more are charged, also beyond the limit. Once; a reservation that was
   * refused, settled or cancelled does nothing.
   *
   * @throws RedisUnavailableError the difference may not have been counted
   */
  settle(used: number): Promise<void>;
  /**
   * Gives all units back.
   *
   * @throws RedisUnavailableError the units may have stayed charged
   */
  cancel(): Promise<void>;
}
