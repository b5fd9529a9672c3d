import { checkName, type Keyspace, type Right } from '../../redis/index.js';
import { SluiceError, show } from '../../weave/index.js';

/** The keys of one lock. All share a Cluster slot. Scripts make the names of two more from `queue`, see the fragment `BESIDE`. */
export interface LockKeys {
  /** The lock itself, a plain string: its owner. Exists exactly while somebody holds it. */
  readonly lock: string;
  /** The last fencing token. Outlives the lock by an hour. */
  readonly fence: string;
  /** Sorted set: waiting acquisitions by their place, first come first. */
  readonly queue: string;
}

/**
 * The keys of the lock of that name.
 *
 * @throws SluiceError `SLUICE_BAD_NAME`
 */
export function lockKeys(keyspace: Keyspace, name: unknown): LockKeys {
  return keysBeside(keyspace, keyspace.main('lock', 'lock:', name));
}

/**
 * Checks the name of a lock that a call was given.
 *
 * @throws SluiceError `SLUICE_BAD_NAME`
 */
export function checkLockName(name: unknown): string {
  if (Array.isArray(name)) {
    throw new SluiceError(
      'SLUICE_BAD_NAME',
      `a lock has one name, got ${show(name)}. To hold several locks, take one after the other, in the same order everywhere`,
    );
  }
  const checked = checkName('lock', name);
  refuseMissingParts(checked);
  return checked;
}

/** What a template string makes of a missing value, and of an object. */
const MISSING = /(?:^|[:{}])(undefined|null|NaN)(?=[:{}]|$)|(\[object \w+\])/;

/**
 * Refuses a name that was made of a missing value, such as `order:undefined`: all calls with that fault would share one lock.
 *
 * @throws SluiceError `SLUICE_BAD_NAME`
 */
function refuseMissingParts(name: string): void {
  const [, missing, object] = MISSING.exec(name) ?? [];
  if (missing === undefined && object === undefined) return;
  throw new SluiceError(
    'SLUICE_BAD_NAME',
    `lock name ${show(name)} has the part '${missing ?? object ?? ''}': a value that the name is made of is missing, or is an object`,
  );
}

/** The end of the name of `queue`. */
export const QUEUE_SUFFIX = 'queue';

/** The same, from the main key: what a push carries. */
export function keysBeside(keyspace: Keyspace, lock: string): LockKeys {
  return { lock, fence: keyspace.side(lock, 'fence'), queue: keyspace.side(lock, QUEUE_SUFFIX) };
}

/**
 * Which acquisition holds the lock, `<nonce> <generation>`, then the owner if it is another, of the lock's own lifetime.
 * Exists only where the lock's value does not tell: its owner was given by the caller, or the lease was extended.
 */
export function holderKey(keyspace: Keyspace, keys: LockKeys): string {
  return keyspace.side(keys.lock, 'holder');
}

/** Hash: what describes each waiter of the queue, by nonce. */
export function waitersKey(keyspace: Keyspace, keys: LockKeys): string {
  return keyspace.side(keys.lock, 'waiters');
}

/** Remembers the last scheduled instant that was taken for a method, by which acquisition, and whether its run began. */
export function tickKey(keyspace: Keyspace, keys: LockKeys, method: string): string {
  return keyspace.side(keys.lock, `tick:${method}`);
}

/** What a user needs to run every script of locks, on the keys of any lock. */
export function lockRights(keyspace: Keyspace): Right[] {
  const keys = lockKeys(keyspace, 'any');
  const { lock, fence, queue } = keys;
  const waiters = waitersKey(keyspace, keys);
  return [
    ...['get', 'del', 'exists', 'pttl'].map((command): Right => [command, lock]),
    ['set', lock, ''],
    ['pexpire', lock, '1'],
    ['set', fence, ''],
    ['zadd', queue, '1', ''],
    ['zpopmin', queue],
    ['zrange', queue, '0', '-1'],
    ['zrem', queue, ''],
    ['hset', waiters, '', ''],
    ['hget', waiters, ''],
    ['hdel', waiters, ''],
  ];
}
