import { lua } from '../../redis/index.js';

/**
 * How a lock is granted. It expects the keys `lock`, `holder`, `fence` as locals. Every microsecond here is one of the
 * uncontended path, so numbers stay the text that they came as (`ttl` too): Redis prints a Lua number slowly.
 *
 * - `mint()` makes the fencing token, in the step that grants: max(last + 1, server µs). So tokens strictly increase, and
 *   stay above every earlier one even when the fence key was lost, as long as the clock is not behind the last
 *   token. µs since the epoch are exact in a double until 2255; `%.0f`, because Lua's `..` keeps 14 digits.
 * - `grant(nonce, owner, who, ttl, token)` writes the lock, then the holder's record `nonce token since who` of the same
 *   lifetime: written second, it may outlive the lock by a millisecond, never the lock it, which would be nobody's.
 */
export const GRANT_LUA = lua`
local function int(n) return string.format('%.0f', n) end

local timeUs, timeText
local function nowUs()
  if not timeUs then
    local time = redis.call('TIME')
    timeUs = time[1] * 1000000 + time[2]
    timeText = time[1] .. string.sub('00000' .. time[2], -6)
  end
  return timeUs
end

local function mint()
  local last = tonumber(redis.call('GET', fence))
  local token = last and last >= nowUs() and int(last + 1) or nowUs() and timeText
  redis.call('SET', fence, token, 'PX', '3600000')
  return token
end

local function grant(nonce, owner, who, ttl, token)
  nowUs()
  redis.call('SET', lock, owner, 'PX', ttl)
  redis.call('SET', holder, nonce .. ' ' .. token .. ' ' .. timeText .. ' ' .. who, 'PX', ttl)
  return token
end
`;

/**
 * `tokenOf(nonce, owner)`: the token of this very acquisition if it holds the lock, else nil. The owner alone would not
 * tell: two acquisitions may be given one owner, and a client of another kind may have taken the lock since.
 */
export const TOKEN_OF_LUA = lua`
local function tokenOf(nonce, owner)
  if redis.call('GET', lock) ~= owner then return nil end
  local record = redis.call('GET', holder) or ''
  if string.sub(record, 1, #nonce + 1) ~= nonce .. ' ' then return nil end
  return string.match(record, '^(%d+)', #nonce + 2)
end
`;
