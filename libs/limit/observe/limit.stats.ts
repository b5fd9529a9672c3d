/** What one process has decided with its rate limits, since it started. */
export interface LimitCounts {
  /** Calls that were admitted. */
  allowed: number;
  /** Calls that were refused. With `dryRun`: that would have been. */
  refused: number;
  /** Refusals that this process remembered, without a question to Redis. They are part of `refused`. */
  remembered: number;
  /** Admitted calls that brought the units that are left to a fifth of the limit or less. */
  neared: number;
  /** Calls that Redis did not decide, because it did not answer. They are part of `allowed` and `refused`. */
  undecided: number;
}

/** The same for one rate limit. */
export interface NamedLimitCounts extends LimitCounts {
  readonly name: string;
}

/** The result of `RateLimitService.stats()`. */
export interface LimitStats extends LimitCounts {
  /** Each rate limit that was used, in the order of first use. */
  readonly names: readonly NamedLimitCounts[];
}

const none = (): LimitCounts => ({ allowed: 0, refused: 0, remembered: 0, neared: 0, undecided: 0 });

/** Counts by name. Names are those of definitions, so there are few. */
export class LimitTally {
  readonly #names = new Map<string, LimitCounts>();

  of(name: string): LimitCounts {
    let counts = this.#names.get(name);
    if (counts === undefined) this.#names.set(name, (counts = none()));
    return counts;
  }

  stats(): LimitStats {
    const names = [...this.#names].map(([name, counts]) => ({ name, ...counts }));
    const totals = none();
    for (const counts of names)
      for (const key of Object.keys(totals) as (keyof LimitCounts)[]) totals[key] += counts[key];
    return { ...totals, names };
  }
}
