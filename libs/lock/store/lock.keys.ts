import { checkName, rightsOn, type Keyspace, type Right } from '../../redis/index.js';
import { SluiceError, show } from '../../weave/index.js';

/** The keys of one lock. All share a Cluster slot. Scripts make the names of two more keys from `queue`: see `BESIDE`. */
export interface LockKeys {
  /** The lock itself, a plain string: its owner. The key exists exactly while the lock is held. */
  readonly lock: string;
  /** The last fencing token. The key outlives the lock by an hour. */
  readonly fence: string;
  /** Sorted set: the waiting acquisitions, ordered by their arrival. */
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
 * Checks a lock's name that was passed to a call.
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

/** The text of a missing value, or of an object, in a template string. */
const MISSING = /(?:^|[:{}])(undefined|null|NaN)(?=[:{}]|$)|(\[object \w+\])/;

/**
 * Refuses a name that was made of a missing value, such as `order:undefined`: all calls with this mistake would share one lock.
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

/** The keys of a lock, made from its main key. A push contains the main key only. */
export function keysBeside(keyspace: Keyspace, lock: string): LockKeys {
  return { lock, fence: keyspace.side(lock, 'fence'), queue: keyspace.side(lock, QUEUE_SUFFIX) };
}

/**
 * The record of the acquisition that holds the lock: `<nonce> <generation>`, then the owner if it is not the nonce. It has the
 * same lifetime as the lock. It exists only if the lock's value is not enough: the caller gave the owner, or the lease was
 * extended.
 */
export function holderKey(keyspace: Keyspace, keys: LockKeys): string {
  return keyspace.side(keys.lock, 'holder');
}

/** Hash: the record of each waiter in the queue, by nonce. */
export function waitersKey(keyspace: Keyspace, keys: LockKeys): string {
  return keyspace.side(keys.lock, 'waiters');
}

/** The last scheduled instant that was taken for a method, the acquisition that took it, and whether its run began. */
export function tickKey(keyspace: Keyspace, keys: LockKeys, method: string): string {
  return keyspace.side(keys.lock, `tick:${method}`);
}

/** What a user needs to run every command and every script of locks, on the keys of any lock. */
export function lockRights(keyspace: Keyspace): Right[] {
  const keys = lockKeys(keyspace, 'any');
  return [
    ['time', ''],
    ...rightsOn(keys.lock, 'del exists get pexpire pttl set type'),
    ...rightsOn(keys.fence, 'get pexpire set'),
    ...rightsOn(keys.queue, 'exists pexpire zadd zcard zpopmin zrange zrem zscore'),
    ...rightsOn(waitersKey(keyspace, keys), 'hdel hget hset pexpire'),
    ...rightsOn(holderKey(keyspace, keys), 'del get pexpire set'),
    ...rightsOn(keyspace.side(keys.lock, 'uses'), 'exists hgetall'),
  ];
}
