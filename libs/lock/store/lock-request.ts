import type { CachedLockKeys } from './lock-key-cache.js';
import type { LockKeys } from './lock.keys.js';

/** What identifies one acquisition in Redis. */
export interface LockIdentity {
  readonly keys: LockKeys;
  /** Unique: distinguishes this acquisition from all others, whatever their owners are. */
  readonly nonce: string;
  /** The value of the lock's key: the nonce, unless the caller gave another. */
  readonly owner: string;
}

/** One acquisition, and what it asks for. */
export interface LockRequest extends LockIdentity {
  readonly name: string;
  readonly keys: CachedLockKeys;
  readonly ttlMs: number;
  readonly renew: boolean;
  /** 0: none. */
  readonly minHoldMs: number;
  /** Infinity: none. */
  readonly maxHoldMs: number;
  /** Whether the lock is lost after `maxHoldMs`. */
  readonly abortsOverdue?: boolean;
}
