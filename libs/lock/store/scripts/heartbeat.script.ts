import { defineScript, lua } from '../../../redis/index.js';
import { tokenIn } from './acquire.reply.js';
import { BESIDE, GRANT, HOLD } from './grant.fragment.js';
import { ENQUEUE, HAND_OVER } from './hand-over.fragment.js';
import { LOCK_USES } from './uses.fragment.js';

/** What a heartbeat reports about one lock. */
export interface Heartbeat {
  /** Milliseconds until the holder's lease ends; -1: it never ends; -2: the lock is free. */
  ttlMs: number;
  /** The last token minted before this answer, see `Busy`. */
  fence: number;
  /** The waiter of this process that holds the lock now, with its full lease, if any. */
  granted: { nonce: string; token: number } | undefined;
  /** The lock is free and has waiters: more are dead than one call looks at. Ask again at once. */
  unsettled: boolean;
  /** The places of the waiters, in the order in which they were sent. */
  places: string[];
}

type Reply = [number, string, string, string, number, string[]];

/**
 * Reports that the waiters of one process, on any number of locks, still wait, and passes on those locks that are free.
 *
 * KEYS  per lock: the lock's three
 * ARGV  inbox; then per lock: how many waiters; and per waiter: nonce, owner, ttl (ms), floor, place ('0': not known)
 * Reply per lock {ttl, fence, granted nonce or '', token, unsettled, {place, …}}
 *
 * All other paths rely on this script when they fail, so every step is repeatable:
 * - a waiter that the queue does not know (the request never arrived, the waiter was skipped, data was lost) gets its place back;
 * - a waiter that holds the lock already (the push was lost or is outdated) is told so in the reply, and gets the full lease;
 * - a free lock (expired, deleted, released by another kind of client) goes to the first waiter: by this reply if it is one of
 *   the caller's waiters, else by a push;
 * - newer data: the call is refused, after it has served its other locks. The caller asks again for each lock alone, and fails
 *   the waiters of the one that is refused. A waiter that holds its lock is told so.
 */
export const heartbeatScript = defineScript({
  name: 'lock:heartbeat',
  keys: [],
  args: { inbox: 'text' },
  lua: lua`
local lock, fence, queue
${BESIDE}
${GRANT}
${HOLD}
${HAND_OVER}
${ENQUEUE}
${LOCK_USES}
local at = rest + 1
local failed
local function beat(count)
  local free = redis.call('EXISTS', lock) == 0
  local granted, token
  local places, mine = {}, {}
  local refused = newerData(beside('uses'))
  for i = at, at + count * 5 - 1, 5 do
    local nonce, owner, ttl, floor, place = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
    if not free and not granted and holds(nonce, owner) then
      granted, token = nonce, resume(nonce, ttl, floor)
    elseif not refused then
      place = enqueue(nonce, owner, ttl, floor, inbox, place)
      mine[nonce] = true
    end
    places[#places + 1] = place
  end
  at = at + count * 5
  if refused and not granted and count > 0 then failed = refused end
  if next(mine) then linger() end
  local last = redis.call('GET', fence) or now()
  if free then granted, token = settle(mine) end
  return { redis.call('PTTL', lock), last, granted or '', token or '', unsettled() and 1 or 0, places }
end

local answers = {}
for i = 1, #KEYS, 3 do
  lock, fence, queue = KEYS[i], KEYS[i + 1], KEYS[i + 2]
  local count = tonumber(ARGV[at])
  at = at + 1
  answers[#answers + 1] = beat(count)
end
return failed or answers
`,
  decode: (reply): Heartbeat[] =>
    (reply as Reply[]).map(([ttlMs, fence, nonce, token, unsettled, places]) => ({
      ttlMs,
      fence: tokenIn(fence) ?? 0,
      granted: nonce === '' ? undefined : { nonce, token: Number(token) },
      unsettled: unsettled === 1,
      places,
    })),
});
