import { defineScript, lua } from '../../../redis/index.js';
import type { LockHolder } from '../../lock.inspection.js';
import { decodeHolder, type HolderReply } from './acquire.reply.js';
import { BESIDE, GRANT, HOLD } from './grant.fragment.js';
import { HAND_OVER } from './hand-over.fragment.js';

/** `unsettled`: more waiters are dead than one call looks at. The lock is free, and the next waiter is still to be found. */
export type Released = { released: true; unsettled: boolean } | { released: false; holder: LockHolder | undefined };

const RELEASED: Released = { released: true, unsettled: false };
const UNSETTLED: Released = { released: true, unsettled: true };

/** Above every generation, so that no request extends a lock that was released. */
const LET_GO = '9007199254740991';

/**
 * Releases the lock of an acquisition, or removes its place in the queue. A released lock goes to the first live waiter in the
 * same step: the lock is never free while a waiter lives.
 *
 * KEYS  lock, queue
 * ARGV  nonce; then minHold (ms; '0': none; '': as an earlier release of it said), if there is one or the lease
 *       was ever extended; then the owner, if it is not the nonce
 * Reply 1: it held the lock. 2: it held the lock, and the next waiter is still to be found. {0, owner, fence, record}: it did not
 *       hold the lock; the holder.
 *
 * - If the owner is the nonce and the lease was never extended, there is no record beside the lock, and nothing else to delete.
 * - Only the holder's own nonce releases. So a late or repeated release, or a release after an expiry, never touches the lock of
 *   the next owner: a release may be repeated until an answer comes.
 * - A waiter gives up while the lock is granted to it: whichever came first, after this script it has neither lock nor place.
 * - Newer data: the lock is released, and its place in the queue is removed, but the lock is handed to no waiter (`settle`).
 * - `minHold` counts from the grant, on the server's clock (the token is the time of the grant in µs). The rest of it, if there
 *   is any, becomes the lock's lifetime, whatever the lease was. No request that is executed late can change this, because no
 *   generation is higher. A second release of the same grant cannot change it either, such as one for a push that comes after the
 *   answer with this grant: where this is possible, minHold is ''.
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
