import { defineScript, lua } from '../../redis/index.js';
import { decodeAcquired } from './acquire.reply.js';
import { GRANT_LUA, TOKEN_OF_LUA } from './grant.lua.js';
import { ENQUEUE_LUA, HAND_OVER_LUA } from './hand-over.lua.js';

/** The lock's five keys, as every script that may grant it declares them. */
export const LOCK_KEYS = ['lock', 'holder', 'fence', 'queue', 'waiters'] as const;

/**
 * Takes the lock if it is free, or joins the queue (`wait` 1), or says who holds it (`wait` 0).
 *
 * KEYS  the lock's five
 * ARGV  nonce, owner, ttl (ms), who (process), inbox (channel), wait
 * Reply {1, token}: granted for ttl. {0, …}: held by another, see `decodeAcquired`; in the queue if `wait` was 1.
 *
 * - No barging: a free lock with waiters goes to the first of them. (It is free with waiters only after an expiry, a
 *   release by a client of another kind, or when the heads are dead.) What `settle` could not finish stays busy.
 * - Duplicate, resend: the nonce that holds the lock gets its own token again and a full lease; the nonce that waits
 *   keeps its place.
 * - Crash of the caller: the lease ends by itself; its place in the queue is passed over.
 * - A foreign client that wrote the key with `SET NX PX` excludes us by the GET, and is excluded by our SET.
 */
export const acquire = defineScript({
  name: 'lock:acquire',
  keys: LOCK_KEYS,
  args: { nonce: 'text', owner: 'text', ttl: 'text', who: 'text', inbox: 'text', wait: 'number' },
  lua: lua`
${GRANT_LUA}
if redis.call('EXISTS', lock, queue) == 0 then return { 1, grant(nonce, owner, who, ttl, mint()) } end
${TOKEN_OF_LUA}
${HAND_OVER_LUA}
${ENQUEUE_LUA}
if redis.call('EXISTS', lock) == 0 then settle({}) end
local token = tokenOf(nonce, owner)
if token then
  grant(nonce, owner, who, ttl, token)
  return { 1, token }
end
if redis.call('EXISTS', lock, queue) == 0 then return { 1, grant(nonce, owner, who, ttl, mint()) } end
local place = wait == 1 and enqueue(nonce, owner, ttl, inbox, who, '0') or '0'
local last = redis.call('GET', fence) or int(nowUs())
return { 0, redis.call('PTTL', lock), last, redis.call('GET', lock), redis.call('GET', holder), place }
`,
  decode: decodeAcquired,
});
