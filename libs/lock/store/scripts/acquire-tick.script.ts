import { defineScript, lua } from '../../../redis/index.js';
import { decodeAcquiredTick } from './acquire.reply.js';
import { LOCK_KEYS } from './acquire.script.js';
import { GRANT_LUA, HOLD_LUA } from './grant.fragment.js';
import { HAND_OVER_LUA } from './hand-over.fragment.js';

/**
 * Takes the lock for one scheduled instant, once in the whole fleet: the instant is marked as done in the step that
 * grants the lock, and a marked one is never granted to another acquisition. It never waits.
 *
 * KEYS  the lock's; tick: the last instant done by this method, and by which acquisition: `instant nonce`
 * ARGV  nonce, ttl (ms), floor, instant (Unix ms), keep (ms the mark lives on); then the owner, if it is not the nonce
 * Reply token: granted. 2: this instant, or a later one, is done already. {0, …}: held by another.
 *
 * - Two processes on one instant: the second finds the mark, whether the first still runs, finished in a millisecond,
 *   failed or died. At most once per instant, therefore: a run that dies is not repeated before the next one.
 * - Instants are compared, not only matched: a process whose clock is behind does not repeat what one ahead of it did.
 * - Duplicate: the nonce that holds the lock gets its token again, before the mark is looked at. And the nonce that
 *   the mark names, though its lease is over: its caller asks again, so it was never told, and nobody has run.
 */
export const acquireTickScript = defineScript({
  name: 'lock:acquire-tick',
  keys: [...LOCK_KEYS, 'tick'],
  args: { nonce: 'text', ttl: 'text', floor: 'text', instant: 'number', keep: 'text' },
  lua: lua`
local owner = ARGV[rest + 1] or nonce
${GRANT_LUA}
${HOLD_LUA}
${HAND_OVER_LUA}
if holds(nonce, owner) then return resume(nonce, ttl, floor) end
local done, by = string.match(redis.call('GET', tick) or '', '^(%d+) (.*)$')
if done and by ~= nonce and tonumber(done) >= instant then return 2 end
if redis.call('EXISTS', lock) == 0 then settle({}) end
if redis.call('EXISTS', lock, queue) == 0 then
  redis.call('SET', tick, int(instant) .. ' ' .. nonce, 'PX', keep)
  local token = mint(ttl, floor)
  grant(nonce, owner, ttl)
  return token
end
return { 0, redis.call('PTTL', lock), '0', '0', redis.call('GET', lock), redis.call('GET', fence), redis.call('GET', beside('holder')) }
`,
  decode: decodeAcquiredTick,
});
