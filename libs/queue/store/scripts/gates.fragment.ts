import { defineFragment, lua } from '../../../redis/index.js';
import { PARKED, RELEASED } from '../queue.keys.js';
import { IS_OF } from './key-type.fragment.js';
import { CLAIM_BYTES } from './take-over.fragment.js';
import { ID_IN } from './task-id.fragment.js';

/** The field of an entry that has its ordering key. It is a field of its own, so that scripts need not read JSON. */
export const KEY_FIELD = 'ordering_key';

/** The longest ordering key that stands in the names of gates as it is, in bytes. Of a longer one, its hash does. */
export const KEY_MAX_BYTES = 256;

/** How many parked entries one step looks at that are not there any more. */
const GONE_MOST = 1_000;

/**
 * The gates of one group of an ordered queue: which task of a key may run, and which ones wait for it.
 *
 * `gates` is a hash: key → the tasks that hold the gate, by their ids, with NUL between: at most `perKey`, which is 1 in an ordered queue. It holds it from the moment a worker gets it until its last
 * settlement: through retries, delays and deaths of processes. `!<id>` is a gate that is closed, because that task is a dead letter.
 * `line` is a sorted set of the entries that wait, all with the score 0: `<key>\0<the entry's id, in digits of equal length>`, and `r`
 * at the end if the entry is in the group's own retries. So the line of a key is in the order of the stream, whoever adds to it.
 * What is in the line is pending with the consumer `~parked`, which is no process: nobody takes it over, and it counts as waiting.
 *
 * The key of an entry is its field `ordering_key`, or, with a `keyPath`, what its payload has at that path: names with dots between.
 *
 * - `keyOf(fields)`: the key of an entry, as the gates have it; nil if it has none. `gateKey(text)`: the same of a text.
 * - `gatesFine()`: whether `gates` and `line` are what they should be. It is asked before the first write.
 * - `admit(id, fields)`: whether an entry that is pending with the caller, or that the caller is about to claim, may run. It then holds
 *   the gate. Otherwise it is parked. `admitAll(entries)`: those of the entries that may run, and parks the others.
 * - `passOn(key, task)`: the task is settled for good. If it holds the gate of its key, the next one of the line gets it: that entry
 *   goes to the caller, in `opened`, while there are fewer than `opensMost`, else to `~released`; `freed` then has the stream to tell of.
 * - `closeGate(key, task)`: as `passOn`, but nothing of this key runs until the task comes back, or `queue:heal-keys` finds it gone.
 *
 * At most `perKey` entries of a key (for simplicity: one) are pending outside `~parked`: an entry gets there by `admit` or `passOn`, which give it the gate in the same
 * step, and the gate is free, or passes to it from a task that has just been acknowledged. A retry has the same task id, so it finds the
 * gate its own. While the line of a key has entries, its gate is held, for `admit` adds to the line only then, and `passOn` takes the gate
 * away only when the line is empty. An entry that was deleted or acknowledged by others is left out when its turn comes, since XCLAIM does
 * not return it.
 *
 * After `gatesFine`, nothing here can fail but for a lack of memory. So the script makes another write first.
 */
export const GATES = defineFragment({
  name: 'gates',
  needs: [IS_OF, ID_IN],
  locals: ['stream', 'other', 'gates', 'line', 'side', 'group', 'consumer', 'opensMost', 'perKey', 'keyPath'],
  lua: lua`
local isOwn = stream == side .. 'retry:' .. group
local holders, opened, openedBytes, freed = {}, {}, 0, {}

local function gateKey(text)
  if text == '' then return nil end
  if #text > ${KEY_MAX_BYTES} or string.find(text, '%z') then return redis.sha1hex(text) end
  return text
end

-- What the payload has at the path: a text, or a whole number.
local function keyAtPath(payload)
  local isJson, value = pcall(cjson.decode, payload)
  for name in string.gmatch(isJson and keyPath or '', '[^.]+') do
    value = type(value) == 'table' and value[name] or nil
  end
  if type(value) == 'number' and value % 1 == 0 and math.abs(value) <= 9007199254740991 then
    return string.format('%.0f', value)
  end
  return isJson and type(value) == 'string' and value or ''
end

local function keyAndTask(id, fields)
  local key, meta
  for i = 1, #fields, 2 do
    if keyPath == '' and fields[i] == '${KEY_FIELD}' then key = fields[i + 1]
    elseif keyPath ~= '' and fields[i] == 'payload' then key = keyAtPath(fields[i + 1])
    elseif fields[i] == 'meta' then meta = fields[i + 1] end
  end
  return key and gateKey(key), meta and meta ~= '' and idIn(meta) or id
end

local function keyOf(fields)
  return (keyAndTask('', fields))
end

local function gatesFine()
  return isOf(gates, 'hash') and isOf(line, 'zset')
end

local function holderOf(key)
  if holders[key] == nil then holders[key] = redis.call('HGET', gates, key) end
  return holders[key]
end

-- Stores who holds the gate, a list with NUL between; false: nobody.
local function setHolders(key, list)
  holders[key] = list
  if list then redis.call('HSET', gates, key, list) else redis.call('HDEL', gates, key) end
end

local function holds(key, task)
  local list = holderOf(key)
  return list and (list == task or string.find(list, '%z') and string.find('\0' .. list .. '\0', '\0' .. task .. '\0', 1, true) ~= nil)
end

local function countOf(key)
  local list = holderOf(key)
  if not list then return 0 end
  return string.find(list, '%z') and 1 + select(2, string.gsub(list, '%z', '')) or 1
end

local function with(key, task)
  local list = holderOf(key)
  return list and string.sub(list, 1, 1) ~= '!' and list .. '\0' .. task or task
end

local function without(key, task)
  local left = {}
  for each in string.gmatch(holderOf(key) or '', '[^%z]+') do if each ~= task then left[#left + 1] = each end end
  return #left > 0 and table.concat(left, '\0')
end

local function placeOf(key, id)
  local ms, seq = string.match(id, '^(%d+)%-(%d+)$')
  return key .. '\0' .. string.rep('0', 20 - #ms) .. ms .. string.rep('0', 20 - #seq) .. seq .. (isOwn and 'r' or '')
end

-- The entry's id, and whether it is among the group's own retries.
local function entryAt(place, key)
  local from = #key + 2
  local ms, seq = string.sub(place, from, from + 19), string.sub(place, from + 20, from + 39)
  return string.gsub(ms, '^0+(%d)', '%1') .. '-' .. string.gsub(seq, '^0+(%d)', '%1'), #place > from + 39
end

local function mayHold(key, task)
  return holds(key, task) or holderOf(key) == '!' .. task or countOf(key) < perKey
end

local function admit(id, fields)
  local key, task = keyAndTask(id, fields)
  if not key then return true end
  if not mayHold(key, task) then
    redis.call('XCLAIM', stream, group, '${PARKED}', '0', id, 'RETRYCOUNT', '0', 'JUSTID')
    redis.call('ZADD', line, '0', placeOf(key, id))
    return false
  end
  if not holds(key, task) then setHolders(key, with(key, task)) end
  return true
end

local function admitAll(entries)
  local keys, tasks, unknown = {}, {}, {}
  for i, entry in ipairs(entries) do
    keys[i], tasks[i] = keyAndTask(entry[1], entry[2])
    if keys[i] and holders[keys[i]] == nil then
      unknown[#unknown + 1] = keys[i]
      holders[keys[i]] = false
    end
  end
  if #unknown > 0 then
    for i, holder in ipairs(redis.call('HMGET', gates, unpack(unknown))) do holders[unknown[i]] = holder end
  end
  local may, parked, inLine, taken, changed = {}, {}, {}, {}, {}
  for i, entry in ipairs(entries) do
    local key, task = keys[i], tasks[i]
    if not key then may[#may + 1] = entry
    elseif mayHold(key, task) then
      may[#may + 1] = entry
      if not holds(key, task) then
        holders[key] = with(key, task)
        changed[key] = true
      end
    else
      parked[#parked + 1] = entry[1]
      inLine[#inLine + 1] = '0'
      inLine[#inLine + 1] = placeOf(key, entry[1])
    end
  end
  for key in pairs(changed) do
    taken[#taken + 1] = key
    taken[#taken + 1] = holders[key]
  end
  if #taken > 0 then redis.call('HSET', gates, unpack(taken)) end
  if #parked > 0 then
    parked[#parked + 1] = 'RETRYCOUNT'
    parked[#parked + 1] = '0'
    parked[#parked + 1] = 'JUSTID'
    redis.call('XCLAIM', stream, group, '${PARKED}', '0', unpack(parked))
    redis.call('ZADD', line, unpack(inLine))
  end
  return may
end

-- Gives the free places of a gate to the first of its line. The list says who holds it still.
local function openNext(key, list)
  holders[key] = list
  for _ = 1, ${GONE_MOST} do
    local head = countOf(key) < perKey
      and redis.call('ZRANGE', line, '[' .. key .. '\0', '(' .. key .. '\1', 'BYLEX', 'LIMIT', '0', '1')[1]
    if not head then
      setHolders(key, holders[key])
      return
    end
    redis.call('ZREM', line, head)
    local id, own = entryAt(head, key)
    local home = own == isOwn and stream or other
    local isMine = home == stream and #opened < opensMost and openedBytes < ${CLAIM_BYTES}
    -- The stream may be gone, or something else by now.
    local claimed = isMine and redis.pcall('XCLAIM', home, group, consumer, '0', id)
      or redis.pcall('XCLAIM', home, group, '${RELEASED}', '0', id, 'RETRYCOUNT', '0')
    local entry = claimed[1]
    if entry then
      local _, task = keyAndTask(entry[1], entry[2])
      holders[key] = with(key, task)
      if isMine then
        opened[#opened + 1] = { entry[1], 1, entry[2] }
        for _, field in ipairs(entry[2]) do openedBytes = openedBytes + #field end
      else freed[home] = true end
    end
  end
  -- Those that hold it, or a holder that is nowhere: queue:heal-keys goes on.
  setHolders(key, holders[key] or '')
end

local function passOn(key, task)
  if key and holds(key, task) then openNext(key, without(key, task)) end
end

local function closeGate(key, task)
  if key and holderOf(key) == task then setHolders(key, '!' .. task) end
end
`,
});
