import { defineScript, lua } from '../../../redis/index.js';
import { decodeAcquired } from './acquire.reply.js';
import { BESIDE, GRANT, HOLD, TAKE_FREE } from './grant.fragment.js';
import { ENQUEUE, HAND_OVER } from './hand-over.fragment.js';
import { LOCK_USES } from './uses.fragment.js';

/** The lock's keys, as every script that may grant it declares them. */
export const LOCK_KEYS = ['lock', 'fence', 'queue'] as const;

/**
 * Takes the lock if it is free. Otherwise it joins the queue (with an inbox), or answers with the holder (without one).
 *
 * KEYS  the lock's
 * ARGV  nonce, ttl (ms), floor (the highest token this process knows of), inbox (channel; '': do not wait); then the
 *       owner, if it is not the nonce
 * Reply token: granted for ttl. {0, …}: held by another, see `decodeAcquired`; in the queue if there is an inbox.
 *
 * - No barging: a free lock with waiters goes to the first waiter. (A lock with waiters is free only after an expiry, after a
 *   release by another kind of client, or if the first waiters are dead.) If `settle` could not finish, the lock stays busy.
 * - Duplicate, resend: the nonce that holds the lock gets its own token again, and a full lease if the lease was never
 *   extended; the nonce that waits keeps its place.
 * - Crash of the caller: the lease ends by itself; its place in the queue is skipped.
 * - Newer data: refused, unless the nonce holds the lock already.
 * - Other clients that write the key with `SET NX PX`: this script's EXISTS respects their lock, and their NX respects this one.
 */
export const acquireScript = defineScript({
  name: 'lock:acquire',
  keys: LOCK_KEYS,
  args: { nonce: 'text', ttl: 'text', floor: 'text', inbox: 'text' },
  lua: lua`
local owner = ARGV[rest + 1] or nonce
${TAKE_FREE}
${BESIDE}
${GRANT}
${HOLD}
${HAND_OVER}
${ENQUEUE}
${LOCK_USES}
local refused = newerData(beside('uses'))
if refused and not holds(nonce, owner) then return refused end
if redis.call('EXISTS', lock) == 0 then settle({}) end
if holds(nonce, owner) then return resume(nonce, ttl, floor) end
if redis.call('EXISTS', lock, queue) == 0 then
  local token = mint(ttl, floor)
  grant(nonce, owner, ttl)
  return token
end
local place = '0'
if inbox ~= '' then
  place = enqueue(nonce, owner, ttl, floor, inbox, '0')
  linger()
end
local last = redis.call('GET', fence)
return { 0, redis.call('PTTL', lock), last or now(), place, redis.call('GET', lock), last, redis.call('GET', beside('holder')) }
`,
  decode: decodeAcquired,
});
