import { defineScript, lua } from '../../redis/index.js';
import { decodeAcquiredTick } from './acquire.reply.js';
import { LOCK_KEYS } from './acquire.script.js';
import { GRANT_LUA, TOKEN_OF_LUA } from './grant.lua.js';
import { HAND_OVER_LUA } from './hand-over.lua.js';

/**
 * Takes the lock for one scheduled instant, once in the whole fleet: the instant is marked as done in the step that
 * grants the lock, and a marked one is never granted again. It never waits.
 *
 * KEYS  the lock's five; tick: the last instant done by this method
 * ARGV  nonce, owner, ttl (ms), who, instant (Unix ms), keep (ms the mark lives on)
 * Reply {1, token}: granted. {2}: this instant, or a later one, is done already. {0, …}: held by another.
 *
 * - Two processes on one instant: the second finds the mark, whether the first still runs, finished in a millisecond,
 *   failed or died. At most once per instant, therefore: a run that dies is not repeated before the next one.
 * - Instants are compared, not only matched: a process whose clock is behind does not repeat what one ahead of it did.
 * - Duplicate: the nonce that holds the lock gets its token again, before the mark is looked at.
 */
export const acquireTick = defineScript({
  name: 'lock:acquire-tick',
  keys: [...LOCK_KEYS, 'tick'],
  args: { nonce: 'text', owner: 'text', ttl: 'text', who: 'text', instant: 'number', keep: 'text' },
  lua: lua`
${GRANT_LUA}
${TOKEN_OF_LUA}
${HAND_OVER_LUA}
local token = tokenOf(nonce, owner)
if token then
  grant(nonce, owner, who, ttl, token)
  return { 1, token }
end
local done = tonumber(redis.call('GET', tick))
if done and done >= instant then return { 2 } end
if redis.call('EXISTS', lock) == 0 then settle({}) end
if redis.call('EXISTS', lock, queue) == 0 then
  redis.call('SET', tick, int(instant), 'PX', keep)
  return { 1, grant(nonce, owner, who, ttl, mint()) }
end
return { 0, redis.call('PTTL', lock), '0', redis.call('GET', lock), redis.call('GET', holder), '0' }
`,
  decode: decodeAcquiredTick,
});
