/** Who holds a lock, and who waits for it, as it stood in Redis at one moment. */
export interface LockInspection {
  /** The value of the lock's key. */
  readonly owner: string;
  /** `'ours'`: held through a `LockService`. `'foreign'`: by a client of the plain recipe, of which no more is known. */
  readonly kind: 'ours' | 'foreign';
  /** Where the holder runs. */
  readonly host?: string;
  readonly pid?: number;
  /** When it was granted, on the Redis server's clock. */
  readonly since?: Date;
  /** How long ago that was, in milliseconds. */
  readonly ageMs?: number;
  /** What is left of its lease, in milliseconds; Infinity for a foreign lock that never expires. */
  readonly ttlMs: number;
  readonly fencingToken?: number;
  /** How many wait; `waiters` are the first 100 of them, in the order in which they will be served. */
  readonly waiting: number;
  readonly waiters: readonly LockWaiter[];
}

/** One acquisition in the queue of a lock. */
export interface LockWaiter {
  /** What the lock's key will hold when it is granted. */
  readonly owner: string;
  /** Where it runs. */
  readonly host: string;
  readonly pid: number;
  /** Since when it waits, on the Redis server's clock, and how long that is. */
  readonly since: Date;
  readonly ageMs: number;
  /** How long ago its process was last heard of; past 3 000 it is passed over. */
  readonly silentMs: number;
}

/** Who holds a lock, as far as Redis knows. */
export interface LockHolder {
  /** The value of the lock's key. */
  owner: string;
  /** `host:pid:nonce` of the process, unless a client of another kind holds the lock. */
  process?: string;
  /** Since when, on the Redis server's clock; unknown of clients of another kind. */
  since?: Date;
  /** Its token; clients of another kind have none. */
  fencingToken?: number;
}
