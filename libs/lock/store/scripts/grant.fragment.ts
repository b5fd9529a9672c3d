import { defineFragment, lua } from '../../../redis/index.js';
import { QUEUE_SUFFIX } from '../lock.keys.js';

/**
 * Raises `token`, the server's time in µs as text, to the fencing token that is granted: max(last + 1, server µs), and above
 * `floor`, the highest token that the asking process has seen. So tokens strictly increase. Even if the fence key was lost, they
 * stay above every earlier token, as long as the clock is not behind the last token.
 *
 * µs since the epoch are exact in a double until 2255. They have 16 digits until 2286, so it is enough to compare text in the
 * usual case; any other value of the fence is compared as a number. `%.0f` is used because Lua's `..` keeps 14 digits. The fence
 * lives for an hour, or, with a lease of 1 000 s and more, for an hour longer than the lease.
 */
const RAISE = `
  local keep = #ttl < 7 and '3600000' or string.format('%.0f', ttl + 3600000)
  local last = call('SET', fence, token, 'PX', keep, 'GET')
  if floor >= token or (last and last >= token) then
    local least = 0
    for _, text in ipairs({ last or '0', floor }) do
      -- A text that is no token ('inf', '1e309', a hundred digits) would stop all later tokens from rising.
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
 * Takes the lock in the usual case: the lock is free, no acquisition waits, no feature of a newer release is used (ADR 21), and
 * the nonce is the owner, so no other key is written. A script names this fragment before all others, because creating a Lua function costs as much as a command.
 */
export const TAKE_FREE = defineFragment({
  name: 'take-free',
  locals: ['owner', 'nonce', 'ttl', 'floor', 'lock', 'fence', 'queue'],
  lua: lua`
local call = redis.call
if owner == nonce and call('EXISTS', lock, queue, string.sub(queue, 1, ${-1 - QUEUE_SUFFIX.length}) .. 'uses') == 0 then
  local time = call('TIME')
  local us = time[2]
  if #us < 6 then us = string.sub('00000' .. us, -6) end
  local token = time[1] .. us
${RAISE}
  call('SET', lock, nonce, 'PX', ttl)
  return token
end
`,
});

/**
 * `beside(name)`: another key of the lock, as `Keyspace.side` builds it. The text before the name is the same as in `queue`,
 * so the key is in the same Cluster slot. Keys that only contention needs are not sent with each call.
 */
export const BESIDE = defineFragment({
  name: 'beside',
  locals: ['queue'],
  lua: lua`
local function beside(name) return string.sub(queue, 1, ${-1 - QUEUE_SUFFIX.length}) .. name end
`,
});

/**
 * Grants a lock. The time of this code is part of every hand-over. So numbers stay the text that they were sent as (`ttl` too),
 * because Redis converts a Lua number to text slowly.
 *
 * - `now()`: the server's time in µs, as text.
 * - `mint(ttl, floor)`: a new fencing token.
 * - `grant(nonce, owner, ttl)` writes the lock and then, unless the owner is the nonce, the holder's record with the same
 *   lifetime. The record is written second, so it may outlive the lock by a millisecond. The lock never outlives the record:
 *   otherwise no acquisition would hold it.
 * - `note(nonce, owner, generation, ttl)` writes that record: `<nonce> <generation>`, and the owner if it is not the nonce.
 *   The record is about the holder only while the lock's key has that owner.
 */
export const GRANT = defineFragment({
  name: 'grant',
  needs: [BESIDE],
  locals: ['lock', 'fence'],
  lua: lua`
local function int(n) return string.format('%.0f', n) end

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
${RAISE}
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
`,
});

/**
 * Which acquisition holds the lock.
 *
 * - `holds(nonce, owner)`: whether this very acquisition holds the lock. If the owner is the nonce, the lock's value proves it.
 *   If the user gave the owner, the value does not: two acquisitions may have the same owner, and another kind of client may have
 *   taken the lock meanwhile.
 * - `generation(nonce)`: the number of the last extension of the lease. Requests of an older generation are executed late and
 *   change nothing.
 * - `resume(nonce, ttl, floor)`: for an acquisition that holds the lock and asks again. It returns the token, and makes the lease
 *   full again, unless the lease was extended or the lock was released meanwhile.
 */
export const HOLD = defineFragment({
  name: 'hold',
  needs: [BESIDE, GRANT],
  locals: ['lock', 'fence'],
  lua: lua`
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
`,
});
