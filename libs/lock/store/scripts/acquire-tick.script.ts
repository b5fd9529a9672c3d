import { defineScript, lua } from '../../../redis/index.js';
import { decodeAcquiredTick } from './acquire.reply.js';
import { LOCK_KEYS } from './acquire.script.js';
import { BESIDE, GRANT, HOLD } from './grant.fragment.js';
import { HAND_OVER } from './hand-over.fragment.js';
import { LOCK_USES } from './uses.fragment.js';

/** Until its run begins, a grant for a tick lasts this long, in milliseconds, or for its lease if that is shorter. */
const TO_BEGIN_MS = 2_000;

/**
 * Takes the lock for one scheduled instant, once in the whole fleet. It never waits. The grant is provisional: the run
 * begins with `begin-tick`, which marks the instant as done, and that is never granted to another acquisition.
 *
 * KEYS  the lock's; tick: the last instant taken for this method: `instant granted nonce`, or `instant begun nonce`
 * ARGV  nonce, ttl (ms), floor, instant (Unix ms), keep (ms the mark lives on); then the owner, if it is not the nonce
 * Reply token: granted. 2: this instant, or a later one, is done already. 3: it is granted to another acquisition, whose
 *       run has not begun: ask again. {0, …}: held by another.
 *
 * - Two processes on one instant: the second process finds the mark, whether the first one still runs, finished in a millisecond,
 *   failed or died. So a method runs at most once per instant: a run that dies is not repeated before the next instant.
 * - Lost answer, or crash, before the run began: nothing has run. The grant ends by itself, and another process takes the
 *   instant. Then the first process cannot begin any more, because its mark and its lock are gone.
 * - Instants are compared by their order, and not only for equality: a process whose clock is behind does not repeat an instant
 *   that a process ahead of it has done.
 * - Duplicate: the nonce that holds the lock gets its token again. Until its run has begun, the nonce that the mark names may take
 *   the instant again even if its grant is over. If this is executed late, after the run began, it changes nothing: otherwise
 *   the mark would say that the run has not begun, and another process would run the instant again.
 * - Newer data: an instant that is not taken is refused.
 */
export const acquireTickScript = defineScript({
  name: 'lock:acquire-tick',
  keys: [...LOCK_KEYS, 'tick'],
  args: { nonce: 'text', ttl: 'text', floor: 'text', instant: 'number', keep: 'text' },
  lua: lua`
local owner = ARGV[rest + 1] or nonce
${BESIDE}
${GRANT}
${HOLD}
${HAND_OVER}
${LOCK_USES}
local brief = tonumber(ttl) < ${TO_BEGIN_MS} and ttl or '${TO_BEGIN_MS}'
local marked, state, by = string.match(redis.call('GET', tick) or '', '^(%d+) (%a+) (.*)$')
if holds(nonce, owner) then
  if state == 'granted' then return resume(nonce, brief, floor) end
  return redis.call('GET', fence) or mint(ttl, floor)
end
if marked and tonumber(marked) >= instant then
  if state == 'begun' or tonumber(marked) > instant then return 2 end
  local holder = by ~= nonce and redis.call('GET', lock)
  if holder and (holder == by or string.sub(redis.call('GET', beside('holder')) or '', 1, #by + 1) == by .. ' ') then
    return 3
  end
end
local refused = newerData(beside('uses'))
if refused then return refused end
if redis.call('EXISTS', lock) == 0 then settle({}) end
if redis.call('EXISTS', lock, queue) == 0 then
  redis.call('SET', tick, int(instant) .. ' granted ' .. nonce, 'PX', keep)
  local token = mint(ttl, floor)
  grant(nonce, owner, brief)
  return token
end
return { 0, redis.call('PTTL', lock), '0', '0', redis.call('GET', lock), redis.call('GET', fence), redis.call('GET', beside('holder')) }
`,
  decode: decodeAcquiredTick,
});
