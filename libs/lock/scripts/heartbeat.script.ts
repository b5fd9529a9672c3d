import { defineScript, lua } from '../../redis/index.js';
import { LOCK_KEYS } from './acquire.script.js';
import { GRANT_LUA, TOKEN_OF_LUA } from './grant.lua.js';
import { ENQUEUE_LUA, HAND_OVER_LUA } from './hand-over.lua.js';

export interface Heartbeat {
  /** Milliseconds until the holder's lease ends; -1: it never does; -2: the lock is free, ask again at once. */
  ttlMs: number;
  /** The last token minted before this answer, see `Busy`. */
  fence: number;
  /** The waiter of this process that holds the lock now, with its full lease, if any. */
  granted: { nonce: string; token: number } | undefined;
  /** The places of the waiters, in the order they were sent. */
  places: string[];
}

/**
 * Says for all waiters of one process on one lock: still here; and passes the lock on if it is free.
 *
 * KEYS  the lock's five
 * ARGV  inbox, who, then per waiter: nonce, owner, ttl (ms), place ('0': not known)
 * Reply {ttl, fence, granted nonce or '', token, {place, …}}
 *
 * It is what all else falls back on, so every step is repeatable:
 * - a waiter unknown to the queue (the request never arrived, it was passed over, data was lost) gets its place back;
 * - one that holds the lock already (the push was lost or is stale) learns it here, and claims the full lease thereby;
 * - a free lock (expired, deleted, released by a client of another kind) goes to the first waiter: one of
 *   these by this reply, another by a push.
 */
export const heartbeat = defineScript({
  name: 'lock:heartbeat',
  keys: LOCK_KEYS,
  args: { inbox: 'text', who: 'text' },
  lua: lua`
${GRANT_LUA}
${TOKEN_OF_LUA}
${HAND_OVER_LUA}
${ENQUEUE_LUA}
local free = redis.call('EXISTS', lock) == 0
local granted, token
local places, mine = {}, {}
for i = rest + 1, #ARGV, 4 do
  local nonce, owner, ttl, place = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local held = not free and not granted and tokenOf(nonce, owner)
  if held then
    granted, token = nonce, grant(nonce, owner, who, ttl, held)
  else
    place = enqueue(nonce, owner, ttl, inbox, who, place)
    mine[nonce] = true
  end
  places[#places + 1] = place
end
local last = redis.call('GET', fence) or int(nowUs())
if free then granted, token = settle(mine) end
return { redis.call('PTTL', lock), last, granted or '', token or '', places }
`,
  decode: (reply): Heartbeat => {
    const [ttlMs, fence, nonce, token, places] = reply as [number, string, string, string, string[]];
    return { ttlMs, fence: Number(fence), granted: nonce === '' ? undefined : { nonce, token: Number(token) }, places };
  },
});
