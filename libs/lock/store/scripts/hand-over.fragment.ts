import { FRAME, defineFragment, lua } from '../../../redis/index.js';
import { BESIDE, GRANT } from './grant.fragment.js';
import { LOCK_USES } from './uses.fragment.js';

/**
 * Until its process claims it, a grant that was pushed to a waiter lasts for two thirds of its lease plus this time, or for its
 * lease if that is shorter. The process counts from its last heartbeat, which is up to a second old and was read a moment later.
 * So two thirds are left when the push arrives. A lock that was free has the same time left when its renewal is due (ADR 20).
 */
export const HEARTBEAT_AGE_MS = 2_000;
/** A lease of at most this length is granted in full. */
const FULL_LEASE_MS = 3 * HEARTBEAT_AGE_MS;

/** A waiter without a heartbeat for this long (three heartbeats) is skipped: its process is dead, hangs or is paused. */
export const WAITER_SILENT_MS = 3_000;

/** How many waiters one call looks at. So a call never blocks the server for longer than a fraction of a millisecond. */
const LOOKED_AT = 64;

/**
 * `settle(mine)`: passes a **free** lock to the first live waiter. `unsettled()`, called after it, returns true if the lock is
 * free and still has waiters, because more waiters are dead than one call looks at. Then the caller asks again.
 *
 * A waiter is skipped, and removed until its next heartbeat, if it has been silent for too long or if no process subscribes to
 * its inbox. PUBLISH counts the receivers, but in a Cluster only those of one node: there the grant stays. If that waiter is
 * dead, the provisional lease has to end. Taking the grant back would give the lock to two, because the message may have arrived
 * through another node. The message is sent last, so a pushed grant is always a real one. A user without rights on channels cannot publish: then the waiter
 * keeps its grant, and its process gets it with the next heartbeat. A waiter of the caller (in `mine`, a set of nonces) needs no
 * message, because the reply tells it. So its lease is granted in full, and its nonce and token are returned. Any other grant is
 * provisional and pushed.
 *
 * A lock with data that this release does not know stays free: a process of the newer release passes it on.
 *
 * The record of a waiter is one text: the time of its last heartbeat (ms), ttl, floor, the length of its inbox's name, and then
 * the inbox's name and the owner without a separator. Further fields of later releases follow the length without a space.
 */
export const HAND_OVER = defineFragment({
  name: 'hand-over',
  needs: [FRAME, BESIDE, GRANT, LOCK_USES],
  locals: ['lock', 'queue', 'oneServer'],
  lua: lua`
local looks = ${LOOKED_AT}
local function settle(mine)
  if unknownUses(beside('uses')) then return end
  local waiters = beside('waiters')
  while looks > 0 do
    looks = looks - 1
    local nonce = redis.call('ZPOPMIN', queue)[1]
    if not nonce then return end
    local known = redis.call('HGET', waiters, nonce) or ''
    local seen, ttl, floor, size, names = string.match(known, '^(%d+) (%d+) (%d+) (%d+)%S* (.*)$')
    redis.call('HDEL', waiters, nonce)
    if seen then
      local inbox, owner = string.sub(names, 1, size), string.sub(names, size + 1)
      if mine[nonce] then
        local token = mint(ttl, floor)
        grant(nonce, owner, ttl)
        return nonce, token
      end
      if now() / 1000 - seen <= ${WAITER_SILENT_MS} then
        local token, provisional = mint(ttl, floor), ttl
        if tonumber(ttl) > ${FULL_LEASE_MS} then provisional = int(ttl * 2 / 3 + ${HEARTBEAT_AGE_MS}) end
        grant(nonce, owner, provisional)
        local heard = redis.pcall('PUBLISH', inbox, frame('lock:granted', lock, nonce, owner, token, provisional))
        if heard ~= 0 or not oneServer then return end
        redis.call('DEL', lock, beside('holder'))
      end
    end
  end
end

local function unsettled()
  return looks == 0 and redis.call('EXISTS', lock) == 0 and redis.call('EXISTS', queue) == 1
end
`,
});

/**
 * - `enqueue(nonce, owner, ttl, floor, inbox, place)`: records that a waiter is alive now, and returns its place: the `place`
 *   that it was given before, or with '0' a place behind the last one. Places are the server's time in µs, raised above the last
 *   place. So waiters are ordered by arrival, and a waiter that was skipped returns to its old place. A repeat only changes the
 *   time of the heartbeat.
 * - `linger()`: both keys expire a minute from now, because without a living waiter no script would delete them.
 */
export const ENQUEUE = defineFragment({
  name: 'enqueue',
  needs: [BESIDE, GRANT],
  locals: ['queue'],
  lua: lua`
local function enqueue(nonce, owner, ttl, floor, inbox, place)
  if place == '0' then
    place = redis.call('ZSCORE', queue, nonce)
    if not place then
      local last = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2]
      place = int(math.max((tonumber(last) or 0) + 1, now()))
    end
  end
  redis.call('ZADD', queue, 'NX', place, nonce)
  local known = string.sub(now(), 1, -4) .. ' ' .. ttl .. ' ' .. floor .. ' ' .. #inbox .. ' ' .. inbox .. owner
  redis.call('HSET', beside('waiters'), nonce, known)
  return place
end

local function linger()
  redis.call('PEXPIRE', queue, 60000)
  redis.call('PEXPIRE', beside('waiters'), 60000)
end
`,
});
