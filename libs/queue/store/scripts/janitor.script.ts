import { defineScript, lua } from '../../../redis/index.js';
import { ID_IN } from './task-id.fragment.js';
import { INDEX } from './index.fragment.js';
import { QUEUE_USES } from './uses.fragment.js';

export interface Cleaned {
  /** How many groups read the stream. */
  readonly groups: number;
  /** The caller's group has retries of its own, or had them once. */
  readonly retries: boolean;
  /** How many entries were deleted. */
  readonly freed: number;
  /** There is more to delete at once. */
  readonly more: boolean;
  /** Where the next walk begins. */
  readonly cursor: string;
}

/**
 * Deletes entries that all groups are done with. Such entries were acknowledged but not deleted, because another group had not
 * seen them yet, or because a consumer of other software acknowledges and does not delete.
 *
 * KEYS  stream, index, retry, retryDelayed, uses
 * ARGV  cursor ('' or where the last walk ended), slice (entries per walk)
 * Reply {@link Cleaned}
 *
 * A group is done with an entry that was delivered to it and is not pending. So all entries below the lowest pending id of all
 * groups, up to the last entry that was delivered to the slowest group, are deleted at once: whole blocks of a hundred entries
 * first, at most 10,000 entries per call, then the rest of the last block. A walk over the remaining entries, a slice per call,
 * finds settled entries between entries that are pending for long.
 *
 * A group is created at 0 meanwhile: nothing was delivered to it, so no entry is below its position. Either the script sees the
 * group, or the group is created after the script and finds the entries that are left. Crash, resend, two callers: deleting
 * missing entries does nothing, and a cursor only says where to look. Full server: nothing here needs memory. Newer data: nothing is deleted.
 *
 * Ids are compared as text, part by part: as numbers, sequences beyond 2^53 would not be exact.
 */
export const janitorScript = defineScript({
  name: 'queue:janitor',
  keys: ['stream', 'index', 'retry', 'retryDelayed', 'uses'],
  args: { cursor: 'text', slice: 'number' },
  lua: lua`
${ID_IN}
${INDEX}
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
local most = 10000
local function digitsBelow(a, b) return #a < #b or (#a == #b and a < b) end
local function below(a, b)
  local aMs, aSeq = string.match(a, '^(%d+)-(%d+)$')
  local bMs, bSeq = string.match(b, '^(%d+)-(%d+)$')
  if aMs ~= bMs then return digitsBelow(aMs, bMs) end
  return digitsBelow(aSeq, bSeq)
end
local function following(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return #seq < 16 and ms .. '-' .. string.format('%.0f', seq + 1) or id
end

local groups, pendings = {}, 0
local low, high
if redis.call('EXISTS', stream) == 1 then
  for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local info = {}
    for i = 1, #row, 2 do info[row[i]] = row[i + 1] end
    groups[#groups + 1] = info.name
    pendings = pendings + info.pending
    local last = info['last-delivered-id']
    local needs = following(last)
    if info.pending > 0 then
      local first = redis.call('XPENDING', stream, info.name)[2]
      if below(first, needs) then needs = first end
    end
    if not low or below(needs, low) then low = needs end
    if not high or below(last, high) then high = last end
  end
end
local hasRetries = math.min(1, redis.call('EXISTS', retry, retryDelayed))
-- What was deleted by hand left its place in the index, and so does what is trimmed here.
if low or redis.call('EXISTS', stream) == 0 then trimIndex(index, low) end
-- Each entry that pends is there: so nothing else is, or it waits.
if not low or (#groups == 1 and redis.call('XLEN', stream) <= pendings) then
  return { #groups, hasRetries, 0, 0, '' }
end

local freed = redis.call('XTRIM', stream, 'MINID', '~', low, 'LIMIT', most)
if freed > most - 1000 then return { #groups, hasRetries, freed, 1, cursor } end
freed = freed + redis.call('XTRIM', stream, 'MINID', low)

if below(high, low) then return { #groups, hasRetries, freed, 0, '' } end
local from = (cursor == '' or below(cursor, low)) and low or '(' .. cursor
local entries = redis.call('XRANGE', stream, from, high, 'COUNT', slice)
if #entries == 0 then return { #groups, hasRetries, freed, 0, '' } end
local first, last = entries[1][1], entries[#entries][1]
local ended = #entries < slice
local pends = {}
for _, group in ipairs(groups) do
  local rows = redis.call('XPENDING', stream, group, first, last, slice + 1000)
  for _, row in ipairs(rows) do pends[row[1]] = true end
  -- So much that is deleted pends there that the rest was not told: no verdict beyond.
  if #rows == slice + 1000 and below(rows[#rows][1], last) then
    last = rows[#rows][1]
    ended = false
  end
end
local function metaOf(fields)
  for i = 1, #fields, 2 do if fields[i] == 'meta' then return fields[i + 1] end end
  return ''
end
local done = {}
for _, entry in ipairs(entries) do
  if not below(last, entry[1]) and not pends[entry[1]] then
    done[#done + 1] = entry[1]
    unindex(index, idIn(metaOf(entry[2])) or entry[1], entry[1])
  end
end
if #done > 0 then freed = freed + redis.call('XDEL', stream, unpack(done)) end
return { #groups, hasRetries, freed, #done == slice and 1 or 0, ended and '' or last }`,
  decode: (reply): Cleaned => {
    const [groups, retries, freed, more, cursor] = reply as [number, number, number, number, string];
    return { groups, retries: retries === 1, freed, more: more === 1, cursor };
  },
});
