import { defineScript, lua } from '../../redis/index.js';
import { decodeAcquired } from './acquire.reply.js';
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
  args: { nonce: 'text', owner: 'text', ttl: 'number', who: 'text', inbox: 'text', wait: 'number' },
  lua: lua`
${HAND_OVER_LUA}
${ENQUEUE_LUA}
local current = redis.call('GET', lock)
if not current and redis.call('EXISTS', queue) == 1 then
  settle({})
  current = redis.call('GET', lock)
end
if current == owner and redis.call('HGET', holder, 'nonce') == nonce then
  expireIn(ttl)
  return { 1, redis.call('HGET', holder, 'token') }
end
if not current and redis.call('EXISTS', queue) == 0 then
  return { 1, grant(nonce, owner, who, ttl, mint()) }
end
local place = wait == 1 and enqueue(nonce, owner, ttl, inbox, who, '0') or '0'
local info = redis.call('HMGET', holder, 'who', 'since')
return { 0, redis.call('PTTL', lock), redis.call('GET', fence) or int(nowUs()), current, info[1], info[2], place }
`,
  decode: decodeAcquired,
});
