import { FRAME_LUA, lua } from '../../redis/index.js';

/** A grant that was pushed to a waiter lasts this long, or its lease if that is shorter, until it is claimed. */
export const PROVISIONAL_MS = 2_000;

/** A waiter not heard of for this long (three heartbeats) is passed over: its process is dead, hung or paused. */
export const WAITER_SILENT_MS = 3_000;

/**
 * `settle(mine)`: passes a **free** lock to the first live waiter. It stands behind `GRANT_LUA` and expects the keys
 * `lock`, `holder`, `fence`, `queue`, `waiters` as locals.
 *
 * A waiter is passed over, and forgotten until its next heartbeat, when it has been silent for too long or when nobody
 * listens at its inbox (PUBLISH counts the receivers; on a Cluster it counts those of one node only, so this is for a
 * single server). At most 64 are looked at: the script's time is bounded, and the caller asks again. A waiter that
 * the caller speaks for (`mine`, a set of nonces) needs no message: the reply tells it, so its lease is whole, and its
 * nonce and token are returned. Any other grant is provisional and pushed.
 */
export const HAND_OVER_LUA = lua`
${FRAME_LUA}
local function nowMs() return math.floor(nowUs() / 1000) end

local function unframe(message)
  local parts, at = {}, 1
  while at <= #message do
    local colon = string.find(message, ':', at, true)
    local size = tonumber(string.sub(message, at, colon - 1))
    parts[#parts + 1] = string.sub(message, colon + 1, colon + size)
    at = colon + size + 1
  end
  return parts
end

local function settle(mine)
  for _ = 1, 64 do
    local nonce = redis.call('ZPOPMIN', queue)[1]
    if not nonce then return end
    local record = redis.call('HGET', waiters, nonce)
    redis.call('HDEL', waiters, nonce)
    if record then
      local waiter = unframe(record)
      local seen, ttl, inbox, who, owner = tonumber(waiter[1]), waiter[2], waiter[3], waiter[4], waiter[5]
      if mine[nonce] then return nonce, grant(nonce, owner, who, ttl, mint()) end
      if nowMs() - seen <= ${WAITER_SILENT_MS} then
        local token, provisional = mint(), tonumber(ttl) < ${PROVISIONAL_MS} and ttl or '${PROVISIONAL_MS}'
        if redis.call('PUBLISH', inbox, frame('lock', lock, nonce, owner, token, provisional)) > 0 then
          grant(nonce, owner, who, provisional, token)
          return
        end
      end
    end
  end
end
`;

/**
 * `enqueue(nonce, owner, ttl, inbox, who, place)`: notes a waiter as alive now, and gives it a place behind the last
 * one, or back the `place` it was given before ('0': none yet). Places are server µs, raised above the last: they order
 * by arrival, and a waiter that was passed over returns to where it stood. Repeating it changes nothing but the
 * sign of life. Both keys expire a minute after the last one: without any living waiter nobody would delete them.
 */
export const ENQUEUE_LUA = lua`
local function enqueue(nonce, owner, ttl, inbox, who, place)
  if place == '0' then
    place = redis.call('ZSCORE', queue, nonce)
    if not place then
      local last = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2]
      place = int(math.max((tonumber(last) or 0) + 1, nowUs()))
    end
  end
  redis.call('ZADD', queue, 'NX', place, nonce)
  redis.call('HSET', waiters, nonce, frame(int(nowMs()), ttl, inbox, who, owner))
  redis.call('PEXPIRE', queue, 60000)
  redis.call('PEXPIRE', waiters, 60000)
  return place
end
`;
