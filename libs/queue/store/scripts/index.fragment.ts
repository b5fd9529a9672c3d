import { defineFragment, lua } from '../../../redis/index.js';

/** How many entries of one task an index tells apart. Several groups have a dead letter each. */
const PLACES = 8;

/**
 * The index of a stream: the ids of tasks whose entries have other ids, as members of a sorted set. The score is the entry's
 * id as a number, `<ms> + <seq> / 2048`, which is exact for the first 2,048 entries of a millisecond. So the index has the order
 * of the stream: what is below the stream's first entry is deleted at once, also if another client trimmed the stream.
 *
 * - `indexEntry(index, task, id)`: the task's entry has that id. Nothing is stored if the two ids are the same.
 * - `unindex(index, task, id)`: that entry was deleted.
 * - `trimIndex(index, low)`: all entries below `low` were deleted; without `low`, all entries were.
 * - `indexed(index, task)`: for each entry of the task, the ids (from and to) between which it lies.
 *
 * All but the last are called after the first write of their script, and so must not fail: a key of another type is left as it
 * is, and the script goes on with the task.
 */
export const INDEX = defineFragment({
  name: 'index',
  lua: lua`
local function scoreOf(id)
  local ms, seq = string.match(id, '^(%d+)%-(%d+)$')
  return tonumber(ms) + math.min(tonumber(seq), 2047) / 2048
end
-- Kept for the next call: a task is looked for in several indexes.
local placed, places
local function placesOf(task)
  if task ~= placed then
    placed, places = task, { task }
    for n = 2, ${PLACES} do places[n] = task .. '\0' .. n end
  end
  return places
end
local function indexEntry(index, task, id)
  if task == id then return end
  local score = string.format('%.17g', scoreOf(id))
  for _, place in ipairs(placesOf(task)) do
    if redis.pcall('ZADD', index, 'NX', score, place) ~= 0 then return end
  end
end
local function unindex(index, task, id)
  if task == id then return end
  local score = scoreOf(id)
  for _, place in ipairs(placesOf(task)) do
    local found = redis.pcall('ZSCORE', index, place)
    if type(found) == 'table' then return end
    if found and tonumber(found) == score then
      redis.pcall('ZREM', index, place)
      return
    end
  end
end
local function trimIndex(index, low)
  if low then redis.pcall('ZREMRANGEBYSCORE', index, '-inf', '(' .. string.format('%.17g', scoreOf(low)))
  elseif redis.call('TYPE', index).ok == 'zset' then redis.call('UNLINK', index) end
end
local function indexed(index, task)
  local ranges = {}
  for _, score in ipairs(redis.call('ZMSCORE', index, unpack(placesOf(task)))) do
    if score then
      local ms = math.floor(tonumber(score))
      local seq = (tonumber(score) - ms) * 2048
      local from = string.format('%.0f-%.0f', ms, seq)
      ranges[#ranges + 1] = { from, seq < 2047 and from or string.format('%.0f', ms) }
    end
  end
  return ranges
end
`,
});
