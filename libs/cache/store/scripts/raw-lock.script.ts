import { defineScript, lua } from '../../../redis/index.js';

/**
 * Takes the load lock of a key of which nothing but plain strings is known.
 *
 * KEYS   load (`{<key>}:~load`)
 * ARGV   token (of this request alone), ttlMs
 * Reply  'LOAD' it is the caller's | 'WAIT' somebody has it
 *
 * Crash: it expires. Duplicate: its own token finds its own lock. Pause, reorder: what the loader may still store is fenced by
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
