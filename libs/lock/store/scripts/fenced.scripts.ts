import { defineFragment, defineScript, lua } from '../../../redis/index.js';

/** The token that wrote last, if this write is refused because of it. */
export type Seen = number | undefined;

const decode = (reply: unknown): Seen => (reply === null ? undefined : Number(reply));

/**
 * Refuses a write whose token is older than a token that has written before.
 *
 * Tokens are µs since the epoch, exact in a double until 2255. `token` is written as the same text.
 */
const GUARD = defineFragment({
  name: 'guard',
  locals: ['key', 'fenced', 'token', 'keep'],
  lua: lua`
local kind = redis.call('TYPE', key).ok
if kind ~= 'string' and kind ~= 'none' then return redis.error_reply('WRONGTYPE ' .. key .. ' is no string') end
local seen = redis.call('GET', fenced)
if seen and (#seen > 16 or string.find(seen, '%D')) then
  return redis.error_reply('ERR ' .. fenced .. ' does not hold a token')
end
if seen and tonumber(token) < tonumber(seen) then return seen end
redis.call('SET', fenced, token, 'PX', keep)
`,
});

/**
 * Writes a key for the holder of a lock, unless a later holder has written it before.
 *
 * KEYS  key; fenced: the highest token that wrote it
 * ARGV  token, value, ttl (ms; '' for none), keep (ms that the token is remembered)
 * Reply nil: written. Else the token that wrote last: nothing was changed.
 *
 * - Pause, delay: a holder that lost its lock and writes late is refused once its successor has written.
 *   Before that, its write is still the newest one.
 * - The same token may write any number of times; tokens of one lock are never used twice.
 * - Duplicate: it writes the same again, or is refused because of a later token. Check and write are one step, so no other write
 *   comes in between.
 * - If the keys are lost, both are lost together (they are in one slot, on one server), and the token outlives the value.
 */
export const fencedSetScript = defineScript({
  name: 'lock:fenced-set',
  keys: ['key', 'fenced'],
  args: { token: 'text', value: 'bytes', ttl: 'text', keep: 'text' },
  lua: lua`
${GUARD}
if ttl == '' then redis.call('SET', key, value) else redis.call('SET', key, value, 'PX', ttl) end
return false
`,
  decode,
});

/**
 * Deletes a key for the holder of a lock, unless a later holder has written it before. The token stays, because otherwise a late
 * holder would write the key again.
 *
 * KEYS  key, fenced
 * ARGV  token, keep (ms)
 * Reply nil: done, whether or not the key existed. Else the token that wrote last.
 */
export const fencedDeleteScript = defineScript({
  name: 'lock:fenced-delete',
  keys: ['key', 'fenced'],
  args: { token: 'text', keep: 'text' },
  lua: lua`
${GUARD}
redis.call('DEL', key)
return false
`,
  decode,
});
