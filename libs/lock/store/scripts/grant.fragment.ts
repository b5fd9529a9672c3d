import { lua } from '../../../redis/index.js';

/**
 * Raises `token`, the server's time in µs as text, to what is granted: max(last + 1, server µs), and above `floor`, the
 * highest token that the asking process has seen. So tokens strictly increase, and stay above every earlier one
 * even when the fence key was lost, as long as the clock is not behind the last token. µs since the epoch are
 * exact in a double until 2255; `%.0f`, because Lua's `..` keeps 14 digits. They have 16 digits until 2286, so the usual
 * case is told by comparing text, and whatever else stands there is looked at as a number. The fence lives for an hour, or an hour
 * beyond a lease of 1 000 s and more.
 */
const RAISE_LUA = lua`
local keep = #ttl < 7 and '3600000' or string.format('%.0f', ttl + 3600000)
local last = call('SET', fence, token, 'PX', keep, 'GET')
if floor >= token or (last and last >= token) then
  local least = 0
  for _, text in ipairs({ last or '0', floor }) do
    -- What is no token of ours ('inf', '1e309', a hundred digits) would stop all that follow from rising.
    local seen = #text <= 16 and not string.find(text, '%D') and tonumber(text) or 0
    if seen > least and seen < 9007199254740991 then least = seen end
  end
  if least >= tonumber(token) then
    token = string.format('%.0f', least + 1)
    call('SET', fence, token, 'PX', keep)
  end
end
`;

/**
 * Takes the lock in the way that nearly all go: it is free, nobody waits, and the nonce is the owner, so nothing stands beside it.
 * It comes before any function is made, which costs as much as a command, and expects all that a grant needs as locals.
 */
export const TAKE_FREE_LUA = lua`
local call = redis.call
if owner == nonce and call('EXISTS', lock, queue) == 0 then
  local time = call('TIME')
  local us = time[2]
  if #us < 6 then us = string.sub('00000' .. us, -6) end
  local token = time[1] .. us
${RAISE_LUA}
  call('SET', lock, nonce, 'PX', ttl)
  return token
end
`;

/**
 * How a lock is granted. It expects the keys `lock`, `fence`, `queue` as locals. Every microsecond here is one of the
 * hand-over, so numbers stay the text that they came as (`ttl` too): Redis prints a Lua number slowly; and the
 * keys that only contention needs are not sent.
 *
 * - `beside(name)`: another key of the lock, as `Keyspace.side` builds it: what stands before the name is the same as
 *   in `queue`, so it is in the same Cluster slot, which is what declared keys are for.
 * - `now()`: the server's time in µs, as text. `mint(ttl, floor)` makes the fencing token.
 * - `grant(nonce, owner, ttl)` writes the lock, then, unless the owner is the nonce, the holder's record of the same
 *   lifetime: written second, it may outlive the lock by a millisecond, never the lock it, which would be nobody's.
 * - `note(nonce, owner, generation, ttl)` writes that record: `<nonce> <generation>`, and the owner, if it is not the nonce: what the
 *   lock's key must still hold for the record to be about its holder.
 */
export const GRANT_LUA = lua`
local function int(n) return string.format('%.0f', n) end
local function beside(name) return string.sub(queue, 1, -6) .. name end

local timeUs
local function now()
  if not timeUs then
    local time = redis.call('TIME')
    timeUs = time[1] .. string.sub('00000' .. time[2], -6)
  end
  return timeUs
end

local function mint(ttl, floor)
  local token, call = now(), redis.call
${RAISE_LUA}
  return token
end

local function note(nonce, owner, generation, ttl)
  local record = nonce .. ' ' .. generation
  if owner ~= nonce then record = record .. ' ' .. owner end
  redis.call('SET', beside('holder'), record, 'PX', ttl)
end

local function grant(nonce, owner, ttl)
  redis.call('SET', lock, owner, 'PX', ttl)
  if owner ~= nonce then note(nonce, owner, '0', ttl) end
end
`;

/**
 * Who holds it. It stands behind `GRANT_LUA`.
 *
 * - `holds(nonce, owner)`: whether this very acquisition does. An owner that is the nonce is proof; a given one is not:
 *   two acquisitions may be given one owner, and a client of another kind may have taken the lock since.
 * - `generation(nonce)`: of the last extension of its lease. Requests of an older one are executed late and change nothing.
 * - `resume(nonce, ttl, floor)`: it holds the lock and asks again: its token, and a lease that is whole again, unless
 *   it was extended since, or let go of.
 */
export const HOLD_LUA = lua`
local function holds(nonce, owner)
  if redis.call('GET', lock) ~= owner then return false end
  if owner == nonce then return true end
  return string.sub(redis.call('GET', beside('holder')) or '', 1, #nonce + 1) == nonce .. ' '
end

local function generation(nonce)
  local record = redis.call('GET', beside('holder'))
  if not record or string.sub(record, 1, #nonce + 1) ~= nonce .. ' ' then return 0 end
  return tonumber(string.match(record, '^%d+', #nonce + 2)) or 0
end

local function resume(nonce, ttl, floor)
  if generation(nonce) == 0 then
    redis.call('PEXPIRE', lock, ttl)
    redis.call('PEXPIRE', beside('holder'), ttl)
  end
  local last = redis.call('GET', fence)
  if last and #last <= 16 and not string.find(last, '%D') then return last end
  return mint(ttl, floor)
end
`;
