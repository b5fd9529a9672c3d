import { GenerationalMap } from '../../redis/index.js';

/** What one process has done with its locks, since it started. */
export interface LockCounts {
  /** Locks that were granted to this process. */
  acquired: number;
  /** Calls that found the lock held, or others waiting for it: those that waited, and those that were refused at once. */
  contended: number;
  /** Milliseconds from the call to the grant, or to the timeout, over all of them. */
  waitedMs: number;
  /** Milliseconds from the grant to the release or the loss, over all that have ended. */
  heldMs: number;
  /** Locks that were lost while they were held: expired, taken, forced. */
  lost: number;
  /** Calls that ended with a `LockTimeoutError`. */
  timeouts: number;
  /** Calls of a scheduler that did not run the method: see `LockSkipReason`. */
  skipped: number;
  /** Locks that were held for longer than `maxHoldMs`. */
  overdue: number;
}

/** The same for one lock. */
export interface NamedLockCounts extends LockCounts {
  readonly name: string;
}

/** The result of `LockService.stats()`. */
export interface LockStats extends LockCounts {
  /** Locks that this process holds at this moment. */
  readonly held: number;
  /** Calls of this process that wait for a lock at this moment. */
  readonly waiting: number;
  /** The locks with the highest counts, ordered by `by`. */
  readonly names: readonly NamedLockCounts[];
}

export interface LockStatsOptions {
  /** How many names are listed at most. Default 10. */
  top?: number;
  /** The count by which the names are ordered. Default `'waitedMs'`. */
  by?: keyof LockCounts;
}

const none = (): LockCounts => {
  return { acquired: 0, contended: 0, waitedMs: 0, heldMs: 0, lost: 0, timeouts: 0, skipped: 0, overdue: 0 };
};

/**
 * Counts in total and by name. The totals are exact. Only the names that were used lately are remembered, at most twice `size`.
 * So a name in constant use keeps its counts, however many other names (`order:1`, `order:2`, …) are used once.
 */
export class LockTally {
  readonly totals = none();
  readonly #names: GenerationalMap<string, LockCounts>;

  constructor(size = 1_000) {
    this.#names = new GenerationalMap({ size });
  }

  add(name: string, count: keyof LockCounts, by = 1): void {
    this.totals[count] += by;
    this.#of(name)[count] += by;
  }

  /** Adds the counts of an acquisition in one step. */
  acquired(name: string, waitedMs: number): void {
    const { totals } = this;
    const counts = this.#of(name);
    totals.acquired++;
    counts.acquired++;
    totals.waitedMs += waitedMs;
    counts.waitedMs += waitedMs;
  }

  top(limit: number, by: keyof LockCounts): NamedLockCounts[] {
    const all = this.#names.entries().map(([name, counts]) => ({ name, ...counts }));
    return all.sort((a, b) => b[by] - a[by]).slice(0, limit);
  }

  #of(name: string): LockCounts {
    let counts = this.#names.get(name);
    if (counts === undefined) this.#names.set(name, (counts = none()));
    return counts;
  }
}
