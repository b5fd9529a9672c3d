/** The holder of a lock and the calls that wait for it, as Redis had them at one moment. */
export interface LockInspection {
  /** The value of the lock's key. */
  readonly owner: string;
  /**
   * `'ours'`: held through a `LockService`. `'foreign'`: held by a client of the plain recipe; only `owner` and `ttlMs` are
   * known.
   */
  readonly kind: 'ours' | 'foreign';
  /** The machine of the holder. */
  readonly host?: string;
  readonly pid?: number;
  /** When the lock was granted, on the Redis server's clock. */
  readonly since?: Date;
  /** How long ago that was, in milliseconds. */
  readonly ageMs?: number;
  /** The rest of the lease, in milliseconds; Infinity for a foreign lock that never expires. */
  readonly ttlMs: number;
  readonly fencingToken?: number;
  /** How many calls wait. `waiters` are the first 100 of them, in the order in which they will be served. */
  readonly waiting: number;
  readonly waiters: readonly LockWaiter[];
}

/** One acquisition in the queue of a lock. */
export interface LockWaiter {
  /** The value that the lock's key will have when this acquisition is granted the lock. */
  readonly owner: string;
  /** The machine on which the waiting call runs. */
  readonly host: string;
  readonly pid: number;
  /** When the call began to wait, on the Redis server's clock, and how long ago that is, in milliseconds. */
  readonly since: Date;
  readonly ageMs: number;
  /** How long ago the call's process sent the last heartbeat, in milliseconds. Above 3 000, the waiter is skipped. */
  readonly silentMs: number;
}

/** The holder of a lock, as far as Redis knows it. */
export interface LockHolder {
  /** The value of the lock's key. */
  owner: string;
  /** `host:pid:nonce` of the process, unless a client of another kind holds the lock. */
  process?: string;
  /** When the lock was granted, on the Redis server's clock; unknown for clients of another kind. */
  since?: Date;
  /** The holder's fencing token; clients of another kind have none. */
  fencingToken?: number;
}
