import { defineScript, lua } from '../../../redis/index.js';
import type { LockHolder } from '../../lock.inspection.js';
import { decodeHolder, type HolderReply } from './acquire.reply.js';
import { BESIDE, GRANT, HOLD } from './grant.fragment.js';
import { HAND_OVER } from './hand-over.fragment.js';

/** `unsettled`: more waiters are dead than one call looks at: the lock is free, and the next of them to be found. */
export type Released = { released: true; unsettled: boolean } | { released: false; holder: LockHolder | undefined };

const RELEASED: Released = { released: true, unsettled: false };
const UNSETTLED: Released = { released: true, unsettled: true };

/** Above every generation, so that no request extends a lock that was released. */
const LET_GO = '9007199254740991';

/**
 * Gives up what an acquisition has: the lock, which goes to the first live waiter in the same step (the lock is never
 * free while a waiter lives), or its place in the queue.
 *
 * KEYS  lock, queue
 * ARGV  nonce; then minHold (ms; '0': none; '': as an earlier release of it said), if there is one or the lease
 *       was ever extended; then the owner, if it is not the nonce
 * Reply 1: it held the lock. 2: it held the lock, and the next waiter is still to be found. {0, owner, fence, record}: it did not
 *       hold the lock; the holder.
 *
 * - Nothing stands beside a lock whose owner is its nonce and whose lease was never extended, so there is nothing else to delete.
 * - Only the holder's own nonce releases, so a late or repeated release, or one after an expiry, never touches the next
 *   owner's lock: it may be repeated until an answer comes.
 * - A waiter that gives up while it is being granted: whichever came first, after this it has nothing.
 * - `minHold` since the grant, on the server's clock (the token is its time in µs): the rest of it, if there is any, becomes
 *   the lock's lifetime, whatever the lease was. Nothing that is executed late can change that: no generation is higher. And
 *   nothing that goes back twice, as a push that comes after the answer that told of the same grant: hence the '', where that
 *   may be.
 */
export const releaseScript = defineScript({
  name: 'lock:release',
  keys: ['lock', 'queue'],
  args: { nonce: 'text' },
  lua: lua`
local minHold, call = ARGV[rest + 1], redis.call
local had = not minHold and call('GET', lock) == nonce
if had then
  call('DEL', lock)
  if call('EXISTS', queue) == 0 then return 1 end
end
local owner = ARGV[rest + 2] or nonce
${BESIDE}
local fence = beside('fence')
${GRANT}
${HOLD}
if not had and holds(nonce, owner) then
  had = true
  if minHold ~= '0' then
    if generation(nonce) == ${LET_GO} then return 1 end
    local heldUs = now() - (tonumber(redis.call('GET', fence)) or now())
    local left = math.ceil((tonumber(minHold) or 0) - math.max(heldUs, 0) / 1000)
    if left > 0 then
      redis.call('PEXPIRE', lock, left)
      note(nonce, owner, '${LET_GO}', left)
      return 1
    end
  end
  redis.call('DEL', lock, beside('holder'))
end
${HAND_OVER}
if had then
  settle({})
  return unsettled() and 2 or 1
end
redis.call('ZREM', queue, nonce)
redis.call('HDEL', beside('waiters'), nonce)
return { 0, redis.call('GET', lock), redis.call('GET', fence), redis.call('GET', beside('holder')) }
`,
  decode: (reply): Released => {
    const answer = reply as 1 | 2 | [0, ...HolderReply];
    if (typeof answer === 'number') return answer === 1 ? RELEASED : UNSETTLED;
    const [, ...holder] = answer;
    return { released: false, holder: decodeHolder(...holder) };
  },
});
