import { defineFragment, lua } from '../../../redis/index.js';
import { INDEX } from './index.fragment.js';
import { ID_IN } from './task-id.fragment.js';

/** The further field of a delayed task's frame that names the task which has to end first. It never gets into a stream. */
export const AFTER = '~after';

/** After how many milliseconds a task that waits for the end of another one is looked at, and looked at again. */
export const LOOK_MS = 5_000;

/**
 * `isActive(id)`: whether a task is delayed, or some group has it still to do. It is found out from the places of tasks, as an operator
 * finds one, so it is also right after what nobody told (XTRIM, XACK of other software). A dead letter is not active.
 *
 * - `entryIn(key, places, id)`: the task's entry in a stream, by the entry's own id or by the index.
 * - `toDo(key, entry)`: whether some group has the entry still to do.
 *
 * `stream`, `delayed`, `index`: those of the queue. `side`: what the names of its side keys begin with. All types are checked by
 * the commands that read, so a script calls this before its first write.
 */
export const ACTIVE = defineFragment({
  name: 'active',
  needs: [ID_IN, INDEX],
  locals: ['stream', 'delayed', 'index', 'side'],
  lua: lua`
local function entryIn(key, places, id)
  local ranges = indexed(places, id)
  if string.find(id, '^%d+%-%d+$') and #id <= 37 then ranges[#ranges + 1] = { id, id } end
  for _, range in ipairs(ranges) do
    for _, row in ipairs(redis.call('XRANGE', key, range[1], range[2], 'COUNT', 500)) do
      local own = row[1]
      for i = 1, #row[2], 2 do
        if row[2][i] == 'meta' then own = idIn(row[2][i + 1]) or own end
      end
      if own == id then return row[1] end
    end
  end
end

local function toDo(key, entry)
  local groups = redis.call('XINFO', 'GROUPS', key)
  if #groups == 0 then return true end
  for _, flat in ipairs(groups) do
    local info = {}
    for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
    if #redis.call('XPENDING', key, info.name, entry, entry, 1) > 0 then return true end
    if #redis.call('XRANGE', key, '(' .. info['last-delivered-id'], entry, 'COUNT', 1) > 0 then return true end
  end
  return false
end

local function isActiveIn(key, zset, places, id)
  if redis.call('ZSCORE', zset, id) then return true end
  if redis.call('EXISTS', key) == 0 then return false end
  local entry = entryIn(key, places, id)
  return entry and toDo(key, entry) or false
end

local function isActive(id)
  if isActiveIn(stream, delayed, index, id) then return true end
  if redis.call('EXISTS', stream) == 0 then return false end
  -- Groups have retries of their own, while there are several, and what is left of them afterwards.
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = flat[2]
    if isActiveIn(side .. 'retry:' .. group, side .. 'delayed:' .. group, side .. 'index:' .. group, id) then return true end
  end
  return false
end
`,
});
