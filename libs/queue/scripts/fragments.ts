import { lua } from '../../redis/index.js';

/** `now`: the server's clock in milliseconds. 13 digits, exact in a double. */
export const NOW_LUA = lua`
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
`;

/**
 * `forget(…ids)`: deletes settled entries. With a second group on the stream they stay, for they may be waiting there.
 */
export const FORGET_LUA = lua`
local function forget(...)
  if #redis.call('XINFO', 'GROUPS', stream) == 1 then redis.call('XDEL', stream, ...) end
end
`;

/**
 * `carried(others)`: an entry's further fields, as names and values in turn, for the entry that follows it.
 *
 * Lua hands at most 8,000 values to one call, and a call that fails after XACK would lose the task. So beyond 7,000 they
 * are left out, and their number is noted in `fields_dropped`: the task matters more than what it did not need to run.
 */
export const CARRIED_LUA = lua`
local function carried(others)
  if #others <= 7000 then return others end
  return { 'fields_dropped', tostring(#others / 2) }
end
`;

/**
 * `bury(id, fields, letter)`: takes an entry out of the group and the stream, into the dead letters.
 *
 * The order is acknowledge, delete, add, for the sake of a server that is full: acknowledging is allowed there and
 * makes the rest of the script so, while a leading XADD would be refused, and dead work could never leave. Nothing
 * after the first write can fail: `isOf(dead, 'stream')` has made sure of the only key that might be of a wrong type.
 *
 * Dead letters carry the entry's four fields, whatever else it had, and then why and when; ours come last, so that
 * a reader who makes an object of them sees ours.
 */
export const BURY_LUA = lua`
${CARRIED_LUA}
local function isOf(key, kind)
  local is = redis.call('TYPE', key).ok
  return is == kind or is == 'none'
end

local function bury(id, fields, letter)
  local kept = { payload = '', timestamp = '', retry_count = '0', meta = '' }
  local others = {}
  for i = 1, #fields, 2 do
    if kept[fields[i]] then kept[fields[i]] = fields[i + 1]
    else
      others[#others + 1] = fields[i]
      others[#others + 1] = fields[i + 1]
    end
  end
  local meta = letter.meta or kept.meta
  local original = string.match(meta, '"id":"([^"]+)"') or id
  local out = {
    'payload', kept.payload,
    'timestamp', kept.timestamp,
    'retry_count', letter.attempts or kept.retry_count,
    'meta', meta,
  }
  for _, other in ipairs(carried(others)) do out[#out + 1] = other end
  for _, own in ipairs({
    'original_id', original,
    'reason', letter.reason,
    'error', letter.failure,
    'stack', letter.stack,
    'attempts', letter.attempts or kept.retry_count,
    'deliveries', letter.deliveries,
    'group', group,
    'failed_at', string.format('%.0f', math.floor(now / 1000)),
  }) do out[#out + 1] = own end
  redis.call('XACK', stream, group, id)
  forget(id)
  redis.call('XADD', dead, '*', unpack(out))
end
`;
