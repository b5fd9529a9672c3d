import type { Keyspace } from '../redis/index.js';

/** The keys of one lock. All share a Cluster slot. */
export interface LockKeys {
  /** The lock itself, a plain string: its owner. Exists exactly while somebody holds it. */
  readonly lock: string;
  /** Beside it, of the same lifetime: which acquisition holds it (nonce), its token, since when, in which process. */
  readonly holder: string;
  /** The last fencing token. Outlives the lock by an hour. */
  readonly fence: string;
  /** Sorted set: waiting acquisitions by their place, first come first. */
  readonly queue: string;
  /** Hash: what describes each of them. */
  readonly waiters: string;
}

/**
 * The keys of the lock of that name.
 *
 * @throws SluiceError `SLUICE_BAD_NAME`
 */
export function lockKeys(keyspace: Keyspace, name: unknown): LockKeys {
  return keysBeside(keyspace, keyspace.main('lock', 'lock:', name));
}

/** The same, from the main key: what a push carries. */
export function keysBeside(keyspace: Keyspace, lock: string): LockKeys {
  return {
    lock,
    holder: keyspace.side(lock, 'holder'),
    fence: keyspace.side(lock, 'fence'),
    queue: keyspace.side(lock, 'queue'),
    waiters: keyspace.side(lock, 'waiters'),
  };
}

/** Remembers the last scheduled instant at which a method took the lock. */
export function tickKey(keyspace: Keyspace, keys: LockKeys, method: string): string {
  return keyspace.side(keys.lock, `tick:${method}`);
}
