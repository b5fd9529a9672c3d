import { defineScript, lua } from '../../libs/redis/index.js';
import { ID_IN } from '../../libs/queue/store/scripts/task-id.fragment.js';
import { INDEX } from '../../libs/queue/store/scripts/index.fragment.js';

/**
 * KEYS the queue's · ARGV for each group: its name, and of its retries stream, delayed, bodies, index · returns rows of group,
 * stream, id, task, attempts, place, handle. A row also tells of each index that does not lead to the entries that are there.
 */
export const lookScript = defineScript({
  name: 'model.look',
  keys: ['stream', 'delayed', 'bodies', 'dead', 'index', 'deadIndex'],
  args: {},
  lua: lua`
${ID_IN}
${INDEX}
local rows = {}
local function field(fields, name)
  for i = 1, #fields, 2 do if fields[i] == name then return fields[i + 1] end end
  return ''
end
local function look(key, group)
  if redis.call('EXISTS', key) == 0 then return end
  local entries = redis.call('XRANGE', key, '-', '+')
  local known = false
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', key)) do if info[2] == group then known = info[8] end end
  local waits, pends = {}, {}
  if known then
    for _, row in ipairs(redis.call('XPENDING', key, group, '-', '+', 100000)) do pends[row[1]] = row end
    for _, entry in ipairs(redis.call('XRANGE', key, '(' .. known, '+')) do waits[entry[1]] = true end
  end
  for _, entry in ipairs(entries) do
    local id, fields = entry[1], entry[2]
    local attempts, place = field(fields, 'retry_count'), 'left'
    if pends[id] then place = 'pending:' .. pends[id][2] .. ':' .. pends[id][4] .. ':' .. attempts
    elseif waits[id] or not known then place = 'waiting:' .. attempts end
    rows[#rows + 1] = { group, key, id, field(fields, 'payload'), attempts, place, idIn(field(fields, 'meta')) or id }
  end
end
local function lookDelayed(zset, hash, group)
  for _, handle in ipairs(redis.call('ZRANGE', zset, 0, -1)) do
    local body = redis.call('HGET', hash, handle) or ''
    local parts, at = {}, 1
    while at <= #body do
      local colon = string.find(body, ':', at, true)
      local length = tonumber(string.sub(body, at, colon - 1))
      parts[#parts + 1] = string.sub(body, colon + 1, colon + length)
      at = colon + length + 1
    end
    rows[#rows + 1] = { group, zset, handle, parts[1] or '', parts[3] or '', 'delayed:' .. (parts[3] or 'none'), handle }
  end
  if redis.call('HLEN', hash) ~= redis.call('ZCARD', zset) then
    rows[#rows + 1] = { group, hash, '', '', '', 'bodies without a due time', '' }
  end
end
local function checkIndex(key, places)
  local carrying = 0
  for _, entry in ipairs(redis.call('XRANGE', key, '-', '+')) do
    local original = field(entry[2], 'original_id')
    local task = original ~= '' and original or idIn(field(entry[2], 'meta'))
    if task and task ~= entry[1] then
      carrying = carrying + 1
      local leads = false
      for _, range in ipairs(indexed(places, task)) do leads = leads or range[1] == entry[1] end
      if not leads then rows[#rows + 1] = { '', places, entry[1], task, '', 'not in the index', '' } end
    end
  end
  if redis.call('ZCARD', places) ~= carrying then
    rows[#rows + 1] = { '', places, '', '', '', 'an index of ' .. redis.call('ZCARD', places) .. ' for ' .. carrying, '' }
  end
end
checkIndex(stream, index)
checkIndex(dead, deadIndex)
for i = 1, #ARGV, 5 do
  local group = ARGV[i]
  checkIndex(ARGV[i + 1], ARGV[i + 4])
  look(stream, group)
  lookDelayed(delayed, bodies, group)
  look(ARGV[i + 1], group)
  lookDelayed(ARGV[i + 2], ARGV[i + 3], group)
end
if redis.call('EXISTS', dead) == 1 then
  for _, letter in ipairs(redis.call('XRANGE', dead, '-', '+')) do
    local fields = letter[2]
    rows[#rows + 1] = { field(fields, 'group'), dead, letter[1], field(fields, 'payload'), '', 'dead:' .. field(fields, 'reason'), field(fields, 'original_id') }
  end
end
return rows`,
  decode: (reply) =>
    reply as [group: string, key: string, id: string, task: string, attempts: string, place: string, handle: string][],
});
