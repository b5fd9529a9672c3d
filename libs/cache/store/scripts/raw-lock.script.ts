import { defineScript, lua } from '../../../redis/index.js';

/**
 * Takes the load lock of a key that has plain strings only (`cache.raw`).
 *
 * KEYS   load (`{<key>}:~load`)
 * ARGV   token (of this request alone), ttlMs
 * Reply  'LOAD' the caller has the lock | 'WAIT' another request has the lock
 *
 * Crash: the lock expires. Duplicate: the token finds its own lock. Pause, reorder: whatever the loader still stores is fenced by
 * the token.
 */
export const rawLockScript = defineScript({
  name: 'cache:raw-lock',
  keys: ['load'],
  args: { token: 'text', ttlMs: 'number' },
  lua: lua`
if redis.call('SET', load, token, 'NX', 'PX', ttlMs) then return 'LOAD' end
return redis.call('GET', load) == token and 'LOAD' or 'WAIT'
`,
  decode: (reply) => reply as 'LOAD' | 'WAIT',
});
