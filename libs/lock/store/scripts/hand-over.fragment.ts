import { FRAME_LUA, lua } from '../../../redis/index.js';

/**
 * A grant that was pushed to a waiter lasts two thirds of its lease and this long, or its lease if that is shorter, until
 * it is claimed. Its process counts from its last heartbeat, which is up to a second old and was read a moment later. So
 * two thirds are left when the push arrives: what a lock that was free has left when its renewal is due (ADR 20).
 */
export const HEARTBEAT_AGE_MS = 2_000;
/** A lease of at most this length is granted whole. */
const WHOLE_MS = 3 * HEARTBEAT_AGE_MS;

/** A waiter not heard of for this long (three heartbeats) is passed over: its process is dead, hung or paused. */
export const WAITER_SILENT_MS = 3_000;

/** How many waiters one call looks at, so that the server is never held up for longer than a fraction of a millisecond. */
const LOOKED_AT = 64;

/**
 * `settle(mine)`: passes a **free** lock to the first live waiter. It stands behind `GRANT_LUA`.
 *
 * A waiter is passed over, and forgotten until its next heartbeat, when it has been silent for too long or when nobody
 * listens at its inbox (PUBLISH counts the receivers; on a Cluster it counts those of one node only, so this is for a
 * single server). A call looks at a limited number of them: whoever calls asks again if `unsettled()`. A waiter that
 * the caller speaks for (`mine`, a set of nonces) needs no message: the reply tells it, so its lease is whole, and its
 * nonce and token are returned. Any other grant is provisional and pushed. What is known of a waiter is one text: when it was heard of
 * (ms), ttl, floor, the length of its inbox' name, and, behind one another, that name and its owner.
 */
export const HAND_OVER_LUA = lua`
${FRAME_LUA}
local looks = ${LOOKED_AT}
local function settle(mine)
  local waiters = beside('waiters')
  while looks > 0 do
    looks = looks - 1
    local nonce = redis.call('ZPOPMIN', queue)[1]
    if not nonce then return end
    local known = redis.call('HGET', waiters, nonce) or ''
    local seen, ttl, floor, size, names = string.match(known, '^(%d+) (%d+) (%d+) (%d+) (.*)$')
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
        if tonumber(ttl) > ${WHOLE_MS} then provisional = int(ttl * 2 / 3 + ${HEARTBEAT_AGE_MS}) end
        if redis.call('PUBLISH', inbox, frame('lock:granted', lock, nonce, owner, token, provisional)) > 0 then
          grant(nonce, owner, provisional)
          return
        end
      end
    end
  end
end

local function unsettled()
  return redis.call('EXISTS', lock) == 0 and redis.call('EXISTS', queue) == 1
end
`;

/**
 * `enqueue(nonce, owner, ttl, floor, inbox, place)`: notes a waiter as alive now, and gives it a place behind the last
 * one, or back the `place` it was given before ('0': none yet). Places are server µs, raised above the last: they order
 * by arrival, and a waiter that was passed over returns to where it stood. Repeating it changes nothing but the
 * sign of life. `linger()`: both keys expire a minute later; without any living waiter nobody would delete them.
 */
export const ENQUEUE_LUA = lua`
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
`;
