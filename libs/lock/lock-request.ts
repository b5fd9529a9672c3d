import type { LockKeys } from './lock.keys.js';

/** What identifies one acquisition in Redis. */
export interface LockIdentity {
  readonly keys: LockKeys;
  /** Unique and private: tells this acquisition from any other, whatever owner they were given. */
  readonly nonce: string;
  readonly owner: string;
}

/** One acquisition on its way, and what it asks for. */
export interface LockRequest extends LockIdentity {
  readonly name: string;
  readonly ttlMs: number;
  readonly renew: boolean;
}
