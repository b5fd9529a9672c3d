import { FRAME_LUA, lua } from '../../../redis/index.js';
import { NAME_MAX_BYTES } from '../../../weave/index.js';
import { CONSUMER_PREFIX } from '../queue.keys.js';

/** `now`: the server's clock in milliseconds. 13 digits, exact in a double. */
export const NOW_LUA = lua`
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
`;

/**
 * `forget(…ids)`: deletes settled entries. With a second group on the stream they stay, for they may be waiting there; so
 * they do with a single one that is not ours: ours was destroyed, and the other may not have seen them yet.
 */
export const FORGET_LUA = lua`
local function forget(...)
  local groups = redis.call('XINFO', 'GROUPS', stream)
  if #groups == 1 and groups[1][2] == group then redis.call('XDEL', stream, ...) end
end
`;

/**
 * `idIn(meta)`: the task's id that an entry's `meta` carries, if any. Read as JSON, as a worker does: a foreign producer's
 * `meta` may have ids of other things inside.
 */
export const ID_IN_LUA = lua`
local function idIn(meta)
  if not string.find(meta, '"id"', 1, true) then return nil end
  local isJson, object = pcall(cjson.decode, meta)
  local id = isJson and type(object) == 'table' and object.id
  return type(id) == 'string' and id ~= '' and #id <= ${NAME_MAX_BYTES} and id or nil
end
`;

/** `isOf(key, kind)`: whether a key is of that type, or free. */
export const IS_OF_LUA = lua`
local function isOf(key, kind)
  local is = redis.call('TYPE', key).ok
  return is == kind or is == 'none'
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
 * `tell(kind, …parts)`: a message to the inboxes of the three processes that were heard of last; any one of them is
 * enough. Needs the arguments `alive` (key) and `inboxes` (what the names of inboxes begin with).
 *
 * Three, so that a fleet of a hundred costs no more than one of three, and yet a process that was just killed does not
 * keep the others waiting. Where all three hear nothing, each process looks by itself once a second.
 *
 * A message only saves time, so a user without rights on channels (`NOPERM`) must not fail the script: it has written.
 */
export const TELL_LUA = lua`
${FRAME_LUA}
local function tell(...)
  local message = frame(...)
  for _, name in ipairs(redis.call('ZREVRANGE', alive, 0, 2)) do
    redis.pcall('PUBLISH', inboxes .. string.sub(name, ${CONSUMER_PREFIX.length + 1}), message)
  end
end
`;

/**
 * `putOff(target, handle, other, delayMs, values)`: a task's next place is among the delayed ones, on its way to the
 * stream `target`. `values` is the entry that it will be: payload, timestamp, retry_count, meta, then names and values
 * of further fields. If the handle is taken, `other` is appended to it; without `other` nothing is done, and the answer
 * is false. Whoever is to promote it is told, if it is due before all others. Comes after `IS_OF_LUA`.
 *
 * Nothing in it can fail once `mayDelay()` said so, except for want of memory: let a script write before that must not.
 */
export const DELAY_LUA = lua`
${TELL_LUA}
local function mayDelay()
  return isOf(delayed, 'zset') and isOf(bodies, 'hash')
end

local function putOff(target, handle, other, delayMs, values)
  local due = string.format('%.0f', now + delayMs)
  while redis.call('ZADD', delayed, 'NX', due, handle) == 0 do
    if not other then return false end
    handle = handle .. '/' .. other
  end
  local body = {}
  for i, value in ipairs(values) do body[i] = #value .. ':' .. value end
  redis.call('HSET', bodies, handle, table.concat(body))
  if redis.call('ZRANGE', delayed, 0, 0)[1] == handle then
    tell('queue:due', target, string.format('%.0f', delayMs))
  end
  return true
end
`;

/**
 * `bury(id, fields, letter)`: takes an entry out of the group and the stream, into the dead letters. Answers the id of the
 * task: `letter.task`, or what `meta` carries, or the entry's.
 *
 * The order is acknowledge, delete, add, for the sake of a server that is full: acknowledging is allowed there and
 * makes the rest of the script so, while a leading XADD would be refused, and dead work could never leave. Nothing
 * after the first write can fail: `isOf(dead, 'stream')` has made sure of the only key that might be of a wrong type.
 *
 * Dead letters carry the entry's four fields, whatever else it had, and then why and when; ours come last, so that
 * a reader who makes an object of them sees ours.
 */
export const BURY_LUA = lua`
${CARRIED_LUA}${ID_IN_LUA}
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
  local original = letter.task or idIn(meta) or id
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
  return original
end
`;
