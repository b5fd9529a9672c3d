import { defineFragment, lua } from '../../../redis/index.js';
import { PARKED, RELEASED } from '../queue.keys.js';
import { IS_OF } from './key-type.fragment.js';
import { CLAIM_BYTES } from './take-over.fragment.js';
import { ID_IN } from './task-id.fragment.js';

/** The field of an entry that has its ordering key. It is a field of its own, so that scripts need not read JSON. */
export const KEY_FIELD = 'ordering_key';

/** The longest ordering key that stands in the names of gates as it is, in bytes. Of a longer one, its hash does. */
export const KEY_MAX_BYTES = 256;

/** A step that stores more gates than this makes the hash a table. */
const MANY = 64;

/** How many parked entries of a key one step looks at that are not there any more. */
const GONE_MOST = 1_000;

/** How many entries of a line are opened at once. With the keys of one acknowledgement they fit into one command. */
const HEADS_MOST = 8;

/** How many entries are claimed at once: all of them are in memory. */
const CLAIMS_MOST = 64;

/**
 * The gates of one group of an ordered queue: which task of a key may run, and which ones wait for it.
 *
 * `gates` is a hash: key → the tasks that hold the gate, by their ids, with NUL between: at most `perKey`, which is 1 in an ordered queue.
 * A task holds it from the moment a worker gets it until its last settlement: through retries, delays and deaths of processes. `!<id>` is
 * a gate that is closed, because that task is a dead letter.
 * `line` is a sorted set of the entries that wait, all with the score 0: `<key>\0<the entry's id, in digits of equal length>`, and `r`
 * at the end if the entry is in the group's own retries. So the line of a key is in the order of the stream, whoever adds to it.
 * What is in the line is pending with the consumer `~parked`, which is no process: it counts as waiting, and nobody takes it
 * over while the queue has an order or the caller observes places.
 *
 * The key of an entry is its field `ordering_key`, or, with a `keyPath`, what its payload has at that path: names with dots between.
 *
 * - `keyOf(fields)`: the key of an entry, as the gates have it; nil if it has none. `gateKey(text)`: the same of a text.
 * - `gatesFine()`: whether `gates` and `line` are what they should be. It is asked before the first write.
 * - `admit(id, fields)`: whether an entry that is pending with the caller, or that the caller is about to claim, may run. It then holds
 *   the gate. Otherwise it is parked. `admitAll(entries, keys, tasks)`: those of the entries that may run, and parks the others.
 * - `passOn(key, task)`: the task is settled for good. If it holds the gate of its key, the next one of the line gets it: that entry
 *   goes to the caller, in `opened`, while there are fewer than `opensMost`, else to `~released`; `freed` then has the stream to tell of.
 *   `passOnAll(keys, tasks)`: the same of several tasks, with few commands. A task without a key has `false` there.
 * - `closeGate(key, task)`: as `passOn`, but nothing of this key runs until the task comes back, or `queue:heal-keys` finds it gone.
 *
 * At most `perKey` entries of a key (for simplicity: one) are pending outside `~parked`: an entry gets there by `admit` or `passOn`, which
 * give it the gate in the same step, and the gate is free, or passes to it from a task that has just been acknowledged. A retry has the same task id, so it finds the
 * gate its own. While the line of a key has entries, its gate is held, for `admit` adds to the line only then, and `passOn` takes the gate
 * away only when the line is empty. An entry that was deleted or acknowledged by others is left out when its turn comes, since XCLAIM does
 * not return it; so is one that a process which observes no places has taken over (see `TAKE_OVER`).
 * `mayBeTaken`: whether there may be such processes. An ordered queue has none.
 *
 * Each of these functions stores what it has changed before it returns. After `gatesFine`, nothing here can fail but for a lack of memory.
 * So the script makes another write first: after it, a full server refuses nothing more.
 */
export const GATES = defineFragment({
  name: 'gates',
  needs: [IS_OF, ID_IN],
  locals: [
    'stream',
    'other',
    'gates',
    'line',
    'side',
    'group',
    'consumer',
    'opensMost',
    'perKey',
    'keyPath',
    'mayBeTaken',
  ],
  lua: lua`
local isOwn = stream == side .. 'retry:' .. group
local holders, changed, opened, openedBytes, freed = {}, {}, {}, 0, {}
-- Whether anything may wait in line; nil: it is not known yet.
local hasLine

local function gateKey(text)
  if text == '' then return nil end
  if #text > ${KEY_MAX_BYTES} or string.find(text, '%z') then return redis.sha1hex(text) end
  return text
end

-- What the payload has at the path: a text, or a whole number.
local function keyAtPath(payload, path)
  local isJson, value = pcall(cjson.decode, payload)
  for name in string.gmatch(isJson and path or '', '[^.]+') do
    value = type(value) == 'table' and value[name] or nil
  end
  if type(value) == 'number' and value % 1 == 0 and math.abs(value) <= 9007199254740991 then
    return string.format('%.0f', value)
  end
  return isJson and type(value) == 'string' and value or ''
end

local keyField = keyPath == '' and '${KEY_FIELD}' or 'payload'

-- The key of an entry, its task, and how many bytes its values have.
local function keyAndTask(id, fields)
  local text, meta, bytes = nil, '', 0
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    bytes = bytes + #value
    if name == keyField then text = value
    elseif name == 'meta' then meta = value end
  end
  if text and keyPath ~= '' then text = keyAtPath(text, keyPath) end
  return text and gateKey(text), meta ~= '' and idIn(meta) or id, bytes
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

-- Reads who holds these gates, with one command; false among the keys: none.
local function readHolders(keys)
  local unknown = {}
  for _, key in ipairs(keys) do
    if key and holders[key] == nil then
      unknown[#unknown + 1] = key
      holders[key] = false
    end
  end
  if #unknown == 0 then return end
  for i, list in ipairs(redis.call('HMGET', gates, unpack(unknown))) do holders[unknown[i]] = list end
end

-- Notes who holds the gate, a list with NUL between; false: nobody. storeHolders stores it.
local function setHolders(key, list)
  holders[key] = list
  changed[key] = true
end

local function storeHolders()
  local held, free = {}, {}
  for key in pairs(changed) do
    if holders[key] then
      held[#held + 1] = key
      held[#held + 1] = holders[key]
    else free[#free + 1] = key end
  end
  changed = {}
  -- Redis searches a small hash from its beginning, and makes it a table as soon as it has a long value.
  local isLarge = #held > 2 * ${MANY}
  if isLarge then
    held[#held + 1] = ''
    held[#held + 1] = string.rep(' ', 65)
  end
  if #held > 0 then redis.call('HSET', gates, unpack(held)) end
  if isLarge then free[#free + 1] = '' end
  if #free > 0 then redis.call('HDEL', gates, unpack(free)) end
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
  local list, left = holderOf(key), {}
  if list == task then return false end
  for each in string.gmatch(list or '', '[^%z]+') do if each ~= task then left[#left + 1] = each end end
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
  return not holderOf(key) or holds(key, task) or holderOf(key) == '!' .. task or countOf(key) < perKey
end

local function admitAll(entries, keys, tasks)
  readHolders(keys)
  local may, parked, inLine = {}, {}, {}
  for i, entry in ipairs(entries) do
    local key, task = keys[i], tasks[i]
    if not key then may[#may + 1] = entry
    elseif mayHold(key, task) then
      may[#may + 1] = entry
      if not holds(key, task) then setHolders(key, with(key, task)) end
    else
      parked[#parked + 1] = entry[1]
      inLine[#inLine + 1] = '0'
      inLine[#inLine + 1] = placeOf(key, entry[1])
    end
  end
  storeHolders()
  if #parked > 0 then
    parked[#parked + 1] = 'RETRYCOUNT'
    parked[#parked + 1] = '0'
    parked[#parked + 1] = 'JUSTID'
    redis.call('XCLAIM', stream, group, '${PARKED}', '0', unpack(parked))
    redis.call('ZADD', line, unpack(inLine))
    hasLine = true
  end
  return may
end

local function admit(id, fields)
  local key, task = keyAndTask(id, fields)
  return #admitAll({ { id, fields } }, { key or false }, { task }) == 1
end

-- Those that still wait. A process that observes no places may have one of them, and runs it.
local function stillParked(heads)
  if not mayBeTaken then return heads end
  local left = {}
  for _, head in ipairs(heads) do
    -- The stream may be gone, or something else by now.
    if redis.pcall('XPENDING', head.home, group, head.id, head.id, '1', '${PARKED}')[1] then left[#left + 1] = head end
  end
  return left
end

-- Gives heads of lines, which have left them, to the caller or to nobody in particular. Some may be gone.
local function claimHeads(heads)
  heads = stillParked(heads)
  local at, most = 1, 1
  while at <= #heads do
    local home, ids = heads[at].home, {}
    local isMine = home == stream and #opened < opensMost and openedBytes < ${CLAIM_BYTES}
    local last = math.min(#heads, at - 1 + (isMine and math.min(most, opensMost - #opened) or most))
    for n = at, last do
      if heads[n].home ~= home then break end
      ids[#ids + 1] = heads[n].id
    end
    last = at - 1 + #ids
    if not isMine then
      ids[#ids + 1] = 'RETRYCOUNT'
      ids[#ids + 1] = '0'
    end
    -- The stream may be gone, or something else by now.
    local claimed, taken = redis.pcall('XCLAIM', home, group, isMine and consumer or '${RELEASED}', '0', unpack(ids)), 0
    for n = at, last do
      local key, entry = heads[n].key, claimed[taken + 1]
      if entry and entry[1] == heads[n].id then
        taken = taken + 1
        local _, task, bytes = keyAndTask(entry[1], entry[2])
        setHolders(key, with(key, task))
        if isMine then
          opened[#opened + 1] = { entry[1], 1, entry[2] }
          openedBytes = openedBytes + bytes
        else freed[home] = true end
      end
    end
    -- Few at first: their sizes are not known.
    at, most = last + 1, math.min(most * 2, ${CLAIMS_MOST})
  end
end

-- Gives the free places of gates to the first of their lines.
local function openAll(keys)
  if hasLine == nil then hasLine = redis.call('EXISTS', line) == 1 end
  if not hasLine then return end
  for _ = 1, ${GONE_MOST} do
    local heads, places, seen, left = {}, {}, {}, {}
    for _, key in ipairs(keys) do
      local free = seen[key] and 0 or math.min(perKey - countOf(key), ${HEADS_MOST})
      seen[key] = true
      local found = free > 0
        and redis.call('ZRANGE', line, '[' .. key .. '\0', '(' .. key .. '\1', 'BYLEX', 'LIMIT', '0', free) or {}
      for _, place in ipairs(found) do
        local id, own = entryAt(place, key)
        places[#places + 1] = place
        heads[#heads + 1] = { key = key, id = id, home = own == isOwn and stream or other }
      end
      if free > 0 and #found == free then left[#left + 1] = key end
    end
    if #places == 0 then return end
    redis.call('ZREM', line, unpack(places))
    claimHeads(heads)
    keys = left
  end
  -- Those that hold them, or a holder that is nowhere: queue:heal-keys goes on.
  for _, key in ipairs(keys) do setHolders(key, holders[key] or '') end
end

-- Gives the free places of a gate to the first of its line. The list says who holds it still.
local function openNext(key, list)
  setHolders(key, list)
  openAll({ key })
  storeHolders()
end

local function passOnAll(keys, tasks)
  readHolders(keys)
  local open = {}
  for i, key in ipairs(keys) do
    if key and holds(key, tasks[i]) then
      setHolders(key, without(key, tasks[i]))
      open[#open + 1] = key
    end
  end
  if #open == 0 then return end
  openAll(open)
  storeHolders()
end

local function passOn(key, task)
  if key then passOnAll({ key }, { task }) end
end

local function closeGate(key, task)
  if not key or holderOf(key) ~= task then return end
  setHolders(key, '!' .. task)
  storeHolders()
end
`,
});
