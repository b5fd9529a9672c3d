import { defineScript, lua } from '../../../redis/index.js';

/**
 * The release of Redis' own lock recipe: compare the owner, delete. Nothing beside the lock is read or written.
 *
 * KEYS  lock
 * ARGV  owner
 * Reply 1: deleted. 0: free, or another's.
 *
 * - Repeated or late: the script finds no key, or the key of another owner, and does not change it.
 * - The waiters of Sluice get no message; their heartbeat finds the lock free.
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
 * The extension of Redis' own lock recipe: compare the owner, then let the lock last for `ttl` from now.
 *
 * KEYS  lock
 * ARGV  owner, ttl (ms)
 * Reply 1: done. 0: free, or another's.
 *
 * - The script never creates the key: an expired lock stays free, however late the script runs. A repeat only moves the expiry.
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
