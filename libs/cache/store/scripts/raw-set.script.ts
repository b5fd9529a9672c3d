import { defineScript, lua } from '../../../redis/index.js';

/**
 * Stores a plain string and ends the load of its key.
 *
 * KEYS   value, load
 * ARGV   token (of the caller's load; empty: there is no load), text, ttlMs
 * Reply  1 stored | 0 void: the caller does not have the load lock any more; nothing changed
 *
 * The script replaces only strings. A plain SET would replace a key of any type, even a queue with all its tasks.
 *
 * Without a token, the script is a plain write, and voids a load that runs. Pause, reorder: fenced by the token. Duplicate: with
 * a token, the second call finds no lock and changes nothing. Without a token, it writes the same again.
 */
export const rawSetScript = defineScript({
  name: 'cache:raw-set',
  keys: ['value', 'load'],
  args: { token: 'text', text: 'text', ttlMs: 'number' },
  lua: lua`
local kind = redis.call('TYPE', value).ok
if kind ~= 'string' and kind ~= 'none' then return redis.error_reply('WRONGTYPE ' .. value .. ' is no string') end
if token ~= '' and redis.call('GET', load) ~= token then return 0 end
redis.call('SET', value, text, 'PX', ttlMs)
redis.call('DEL', load)
return 1
`,
  decode: (reply) => reply === 1,
});
