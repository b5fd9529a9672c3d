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
 * `gates` is a hash: key → the task that holds the gate, by its id. It holds it from the moment a worker gets it until its last
 * settlement: through retries, delays and deaths of processes. `!<id>` is a gate that is closed, because that task is a dead letter.
 * `line` is a sorted set of the entries that wait, all with the score 0: `<key>\0<the entry's id, in digits of equal length>`, and `r`
 * at the end if the entry is in the group's own retries. So the line of a key is in the order of the stream, whoever adds to it.
 * What is in the line is pending with the consumer `~parked`, which is no process: nobody takes it over, and it counts as waiting.
 *
 * - `keyOf(fields)`: the key of an entry, as the gates have it; nil if it has none. `gateKey(text)`: the same of a text.
 * - `gatesFine()`: whether `gates` and `line` are what they should be. It is asked before the first write.
 * - `admit(id, fields)`: whether an entry that is pending with the caller, or that the caller is about to claim, may run. It then holds
 *   the gate. Otherwise it is parked. `admitAll(entries)`: those of the entries that may run, and parks the others.
 * - `passOn(key, task)`: the task is settled for good. If it holds the gate of its key, the next one of the line gets it: that entry
 *   goes to the caller, in `opened`, while there are fewer than `opensMost`, else to `~released`; `freed` then has the stream to tell of.
 * - `closeGate(key, task)`: as `passOn`, but nothing of this key runs until the task comes back, or `queue:heal-keys` finds it gone.
 *
 * At most one entry of a key is pending outside `~parked`: an entry gets there by `admit` or `passOn`, which give it the gate in the same
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
  locals: ['stream', 'other', 'gates', 'line', 'side', 'group', 'consumer', 'opensMost'],
  lua: lua`
local isOwn = stream == side .. 'retry:' .. group
local holders, opened, openedBytes, freed = {}, {}, 0, {}

local function gateKey(text)
  if text == '' then return nil end
  if #text > ${KEY_MAX_BYTES} or string.find(text, '%z') then return redis.sha1hex(text) end
  return text
end

local function keyAndTask(id, fields)
  local key, meta
  for i = 1, #fields, 2 do
    if fields[i] == '${KEY_FIELD}' then key = fields[i + 1]
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

local function setHolder(key, task)
  holders[key] = task
  redis.call('HSET', gates, key, task)
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
  local holder = holderOf(key)
  return not holder or holder == task or holder == '!' .. task
end

local function admit(id, fields)
  local key, task = keyAndTask(id, fields)
  if not key then return true end
  if not mayHold(key, task) then
    redis.call('XCLAIM', stream, group, '${PARKED}', '0', id, 'RETRYCOUNT', '0', 'JUSTID')
    redis.call('ZADD', line, '0', placeOf(key, id))
    return false
  end
  if holders[key] ~= task then setHolder(key, task) end
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
  local may, parked, places, taken = {}, {}, {}, {}
  for i, entry in ipairs(entries) do
    local key, task = keys[i], tasks[i]
    if not key then may[#may + 1] = entry
    elseif mayHold(key, task) then
      may[#may + 1] = entry
      if holders[key] ~= task then
        holders[key] = task
        taken[#taken + 1] = key
        taken[#taken + 1] = task
      end
    else
      parked[#parked + 1] = entry[1]
      places[#places + 1] = '0'
      places[#places + 1] = placeOf(key, entry[1])
    end
  end
  if #taken > 0 then redis.call('HSET', gates, unpack(taken)) end
  if #parked > 0 then
    parked[#parked + 1] = 'RETRYCOUNT'
    parked[#parked + 1] = '0'
    parked[#parked + 1] = 'JUSTID'
    redis.call('XCLAIM', stream, group, '${PARKED}', '0', unpack(parked))
    redis.call('ZADD', line, unpack(places))
  end
  return may
end

local function openNext(key)
  for _ = 1, ${GONE_MOST} do
    local head = redis.call('ZRANGE', line, '[' .. key .. '\0', '(' .. key .. '\1', 'BYLEX', 'LIMIT', '0', '1')[1]
    if not head then
      holders[key] = false
      redis.call('HDEL', gates, key)
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
      setHolder(key, task)
      if isMine then
        opened[#opened + 1] = { entry[1], 1, entry[2] }
        for _, field in ipairs(entry[2]) do openedBytes = openedBytes + #field end
      else freed[home] = true end
      return
    end
  end
  -- A holder that is nowhere: queue:heal-keys goes on.
  setHolder(key, '')
end

local function passOn(key, task)
  if key and holderOf(key) == task then openNext(key) end
end

local function closeGate(key, task)
  if key and holderOf(key) == task then setHolder(key, '!' .. task) end
end
`,
});
