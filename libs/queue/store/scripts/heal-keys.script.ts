import { defineScript, lua } from '../../../redis/index.js';
import { PARKED, RELEASED } from '../queue.keys.js';
import { GATES } from './gates.fragment.js';
import { ID_ORDER } from './id-order.fragment.js';
import { INDEX } from './index.fragment.js';
import { IS_OF } from './key-type.fragment.js';
import { MOVES } from './move-rights.js';
import { NOW } from './now.fragment.js';
import { TELL } from './tell.fragment.js';
import { ID_IN } from './task-id.fragment.js';
import { ORDER, QUEUE_USES } from './uses.fragment.js';

/** Gates, keys in line and parked entries that one call looks at, each. */
const LOOKS = 100;

/** What one worker has, at most, for what has no key to find it by. With more, nothing is healed. */
const PENDING_LOOKS = 1_000;

export interface HealedKeys {
  /** Keys whose next task was opened, because the one that held the key is nowhere. */
  readonly opened: number;
  /** Entries that were parked and not in line. They are now. */
  readonly lined: number;
  /** Where the next call goes on; '': this was the last part, or another process has looked a moment ago. */
  readonly cursor: string;
}

/**
 * Finds keys of an ordered queue that wait for nothing, and opens them: because the task that held the key was removed, or because of
 * what no script of Sluice has done (XACK, XDEL, XTRIM, DEL by others, a restored copy).
 *
 * KEYS  stream, other, delayed, otherDelayed, index, otherIndex, dead, deadIndex, gates, line, swept, alive, uses
 * ARGV  group, consumer, side, inboxes, everyMs (at most so often in the fleet; 0: now), cursor ('' or where the last call ended), perKey and
 *       keyPath (see {@link GATES}; perKey 0: not known, and only gates are looked at, which get no more holders than they had), key (the
 *       only one that is looked at; '': all)
 * Reply {@link HealedKeys}
 *
 * A task that holds a key is somewhere at any time, for every step that moves it is one script: it is pending with a worker or returned,
 * waits in the stream as a retry that was not read yet, is delayed, or (a closed gate) is a dead letter. One that is in none of these
 * places will never pass its key on. So the next one is opened at once; there is no state in between that would need a time of grace.
 * The index leads to entries with other ids than their tasks, but for those of other software, for which all is looked at that is pending. If its key is something else, the gates are left as they are.
 *
 * Each call looks at some gates, some keys in line without a gate, and, if more is parked than in line, some parked entries. A row of calls
 * sees all of them. Crash: it is one script, and the next row begins anew. Repeat, two callers: what was opened holds its key. What is
 * opened was parked, so no worker has it. Newer data: nothing is changed. Full server: the first write is ZREM, HDEL or HSET of `swept`:
 * it may be refused, and is tried again. Slots: the keys of one queue.
 */
export const healKeysScript = defineScript({
  name: 'queue:heal-keys',
  rights: MOVES,
  keys: [
    ...['stream', 'other', 'delayed', 'otherDelayed', 'index', 'otherIndex', 'dead', 'deadIndex', 'gates', 'line'],
    ...['swept', 'alive', 'uses'],
  ] as const,
  args: {
    group: 'text',
    consumer: 'text',
    side: 'text',
    inboxes: 'text',
    everyMs: 'number',
    cursor: 'text',
    perKey: 'number',
    keyPath: 'text',
    key: 'text',
  },
  lua: lua`
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
${NOW}
${IS_OF}
${ID_IN}
${ID_ORDER}
${INDEX}
${TELL}
local opensMost, mayBeTaken = 0, not redis.call('HGET', uses, '${ORDER}')
${GATES}
if redis.call('EXISTS', gates, line) == 0 or not gatesFine() then return { 0, 0, '' } end
local isKnown, wanted = perKey > 0, perKey
-- Where each part goes on; '': it is over. That of the keys is the least place, in the form of ZRANGE.
local gatesFrom, parkedFrom, keysFrom = string.match(cursor, '^(%d*) ([%d%-]*) (.*)$')
if cursor == '' then
  local last = everyMs > 0 and tonumber(redis.call('HGET', swept, 'keys ' .. group) or '')
  if last and last <= now and now - last < everyMs then return { 0, 0, '' } end
  if everyMs > 0 then
    redis.call('HSET', swept, 'keys ' .. group, string.format('%.0f', now))
    redis.call('PEXPIRE', swept, string.format('%.0f', everyMs * 10))
  end
  gatesFrom, parkedFrom, keysFrom = '0', '', '-'
end

local ends = {}
for _, key in ipairs({ stream, other }) do
  if redis.call('TYPE', key).ok == 'stream' then
    -- A group that is not there yet begins with the first entry.
    ends[key] = '0-0'
    for _, flat in ipairs(redis.call('XINFO', 'GROUPS', key)) do
      for i = 1, #flat, 2 do
        if flat[2] == group and flat[i] == 'last-delivered-id' then ends[key] = flat[i + 1] end
      end
    end
  end
end

local function isEntryOf(task, row)
  local _, found = keyAndTask(row[1], row[2])
  return found == task
end

local function isIn(key, places, task)
  if not ends[key] then return false end
  local ranges = indexed(places, task)
  local ms, seq = string.match(task, '^(%d+)%-(%d+)$')
  -- Beyond these lengths Redis takes it for no id.
  if ms and #ms <= 18 and #seq <= 18 then table.insert(ranges, 1, { task, task }) end
  for _, range in ipairs(ranges) do
    for _, row in ipairs(redis.call('XRANGE', key, range[1], range[2], 'COUNT', 500)) do
      if isEntryOf(task, row) then
        if isBefore(ends[key], row[1]) then return true end
        local pending = redis.call('XPENDING', key, group, row[1], row[1], 1)[1]
        if pending and pending[2] ~= '${PARKED}' then return true end
      end
    end
  end
  return false
end

local function isLetter(task)
  for _, range in ipairs(indexed(deadIndex, task)) do
    if #redis.call('XRANGE', dead, range[1], range[2], 'COUNT', 1) > 0 then return true end
  end
  return false
end

-- Other software may give tasks ids that no index knows. So before a holder counts as gone, all is looked at that workers have.
local pendingTasks, areMany
local function isPending(task)
  if not pendingTasks then
    pendingTasks = {}
    for _, key in ipairs({ stream, other }) do
      for _, flat in ipairs(ends[key] and redis.pcall('XINFO', 'CONSUMERS', key, group) or {}) do
        if flat[4] > 0 and flat[2] ~= '${PARKED}' then
          areMany = areMany or flat[4] > ${PENDING_LOOKS}
          for _, row in ipairs(redis.call('XPENDING', key, group, '-', '+', ${PENDING_LOOKS}, flat[2])) do
            local entry = redis.call('XRANGE', key, row[1], row[1])[1]
            if entry then pendingTasks[select(2, keyAndTask(entry[1], entry[2]))] = true end
          end
        end
      end
    end
  end
  return areMany or pendingTasks[task]
end

local function isSomewhere(holder)
  local task = string.match(holder, '^!(.*)$') or holder
  if task ~= holder and isLetter(task) then return true end
  return isIn(stream, index, task) or isIn(other, otherIndex, task)
    or redis.call('ZSCORE', delayed, task) or redis.call('ZSCORE', otherDelayed, task)
    or isPending(task)
end

local count = 0
local function open(key, list)
  openNext(key, list)
  count = count + 1
end

-- Those of a list that are somewhere; false: nobody.
local function present(list)
  local left = {}
  for each in string.gmatch(list, '[^%z]+') do if isSomewhere(each) then left[#left + 1] = each end end
  return #left > 0 and table.concat(left, '\0')
end

local mayLook = isOf(index, 'zset') and isOf(otherIndex, 'zset') and isOf(deadIndex, 'zset')
  and isOf(delayed, 'zset') and isOf(otherDelayed, 'zset') and isOf(dead, 'stream')
local function look(gate, list)
  local left = present(list)
  if left == list then return end
  perKey = isKnown and wanted or countOf(gate)
  open(gate, left)
end

if key ~= '' then
  local gate = gateKey(key)
  local list = mayLook and holderOf(gate)
  if list then look(gate, list) end
  gatesFrom, parkedFrom, keysFrom = '', '', ''
elseif gatesFrom ~= '' and mayLook then
  local page = redis.call('HSCAN', gates, gatesFrom, 'COUNT', ${LOOKS})
  for i = 1, #page[2], 2 do look(page[2][i], page[2][i + 1]) end
  gatesFrom = page[1] == '0' and '' or page[1]
else gatesFrom = '' end

-- Keys in line without a gate.
if not isKnown then keysFrom = '' end
if keysFrom ~= '' then
  for _ = 1, ${LOOKS} do
    local place = redis.call('ZRANGE', line, keysFrom, '+', 'BYLEX', 'LIMIT', '0', '1')[1]
    local key = place and string.match(place, '^(.*)%z')
    if not key then
      keysFrom = ''
      break
    end
    if countOf(key) < perKey then open(key, holderOf(key)) end
    keysFrom = '(' .. key .. '\1'
  end
end

-- Parked entries that are not in line.
local lined = 0
local function parkedIn(key)
  local found = 0
  for _, flat in ipairs(ends[key] and redis.pcall('XINFO', 'CONSUMERS', key, group) or {}) do
    if flat[2] == '${PARKED}' then found = flat[4] end
  end
  return found
end
if isKnown and (parkedFrom ~= '' or parkedIn(stream) > 0 and parkedIn(stream) + parkedIn(other) > redis.call('ZCARD', line)) then
  local rows = redis.call('XPENDING', stream, group, parkedFrom == '' and '-' or '(' .. parkedFrom, '+', ${LOOKS}, '${PARKED}')
  for _, row in ipairs(rows) do
    local entry = redis.call('XRANGE', stream, row[1], row[1])[1]
    local key = entry and keyOf(entry[2])
    if not entry then redis.call('XACK', stream, group, row[1])
    elseif not key then
      redis.call('XCLAIM', stream, group, '${RELEASED}', '0', row[1], 'RETRYCOUNT', '0', 'JUSTID')
      freed[stream] = true
    else lined = lined + redis.call('ZADD', line, '0', placeOf(key, row[1])) end
  end
  parkedFrom = #rows == ${LOOKS} and rows[#rows][1] or ''
  -- They have no gate, if nobody holds their keys.
  if lined > 0 and keysFrom == '' then keysFrom = '-' end
end

for home in pairs(freed) do tell('queue:released', home) end
local isOver = gatesFrom == '' and keysFrom == '' and parkedFrom == ''
return { count, lined, isOver and '' or gatesFrom .. ' ' .. parkedFrom .. ' ' .. keysFrom }`,
  decode: (reply): HealedKeys => {
    const [opened, lined, cursor] = reply as [number, number, string];
    return { opened, lined, cursor };
  },
});
