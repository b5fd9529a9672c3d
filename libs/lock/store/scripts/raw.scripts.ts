import { defineScript, lua } from '../../../redis/index.js';

/**
 * The release of Redis' own lock recipe: compare the owner, delete. Nothing beside the lock is read or written.
 *
 * KEYS  lock
 * ARGV  owner
 * Reply 1: deleted. 0: free, or another's.
 *
 * - Repeated or late: finds no key, or another owner's, and leaves it.
 * - Our own waiters are not told; their heartbeat finds the lock free.
 *
 * @see https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/#correct-implementation-with-a-single-instance
 */
export const rawReleaseScript = defineScript({
  name: 'lock:raw-release',
  keys: ['lock'],
  args: { owner: 'text' },
  lua: lua`
if redis.call('GET', lock) == owner then return redis.call('DEL', lock) end
return 0
`,
  decode: (reply) => reply === 1,
});

/**
 * The recipe's extension: compare the owner, and the lock lasts `ttl` from now.
 *
 * KEYS  lock
 * ARGV  owner, ttl (ms)
 * Reply 1: done. 0: free, or another's.
 *
 * - Never creates the key: what expired stays free, however late this runs. Repetition only moves the expiry.
 */
export const rawExtendScript = defineScript({
  name: 'lock:raw-extend',
  keys: ['lock'],
  args: { owner: 'text', ttl: 'text' },
  lua: lua`
if redis.call('GET', lock) == owner then return redis.call('PEXPIRE', lock, ttl) end
return 0
`,
  decode: (reply) => reply === 1,
});
