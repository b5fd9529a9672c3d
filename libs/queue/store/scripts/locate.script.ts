import { defineScript, lua } from '../../../redis/index.js';
import { IS_PARKED } from './parked.fragment.js';
import { ID_IN } from './task-id.fragment.js';
import { GROUP } from './group.fragment.js';
import { INDEX } from './index.fragment.js';
import { delayedRow, type ListedDelayed } from './list-delayed.script.js';
import type { ListedEntry } from './list-stream.script.js';

/** Where a task is: among the delayed ones, in a stream, or a dead letter. `own`: among the retries of the group. */
export type Located =
  | { readonly place: 'delayed'; readonly own: boolean; readonly row: ListedDelayed }
  | { readonly place: 'stream'; readonly own: boolean; readonly row: ListedEntry }
  | { readonly place: 'dead'; readonly row: ListedEntry };

/** Entries behind the 2,047th of one millisecond are searched one by one, at most this many. */
const SAME_MS = 500;

/**
 * Finds one task by its id: among the delayed ones by their handles, in the streams as the entry of that id or by the index,
 * and among the dead letters by their index. A task that is in none of these places is done, or never existed. The cost is the
 * same wherever the task is and however long the queue is, because nothing is searched through.
 *
 * KEYS  stream, delayed, bodies, index, dead, deadIndex, and of the group's own retries: retryStream, retryDelayed,
 *       retryBodies, retryIndex
 * ARGV  id, group, released
 * Reply {@link Located}, or nothing
 *
 * Read-only, and one step: a task that moves meanwhile is found at its old or at its new place.
 *
 * The result of the index is checked: an entry counts only if it has that task id. So an outdated index (entries were deleted by
 * hand) finds nothing, and never another task.
 */
export const locateScript = defineScript({
  name: 'queue:locate',
  keys: [
    'stream',
    'delayed',
    'bodies',
    'index',
    'dead',
    'deadIndex',
    'retryStream',
    'retryDelayed',
    'retryBodies',
    'retryIndex',
  ],
  args: { id: 'text', group: 'text', released: 'text' },
  buffers: true,
  lua: lua`
${ID_IN}
${IS_PARKED}
${GROUP}
${INDEX}
local function dueOf(place, zset, hash)
  local due = redis.call('ZSCORE', zset, id)
  return due and { place, id, due, redis.call('HGET', hash, id) or '' }
end

-- A dead letter's own id is nobody's: an entry of another stream may have the same.
local function taskOf(row)
  local carried, original
  for i = 1, #row[2], 2 do
    if row[2][i] == 'meta' then carried = idIn(row[2][i + 1])
    elseif row[2][i] == 'original_id' then original = row[2][i + 1] end
  end
  return original or carried or row[1]
end
-- Beyond these lengths Redis takes it for no id.
local msOf, seqOf = string.match(id, '^(%d+)%-(%d+)$')
local isEntryId = msOf and #msOf <= 18 and #seqOf <= 18
local function entryIn(key, places)
  local ranges = indexed(places, id)
  if isEntryId then table.insert(ranges, 1, { id, id }) end
  for _, range in ipairs(ranges) do
    for _, row in ipairs(redis.call('XRANGE', key, range[1], range[2], 'COUNT', ${SAME_MS})) do
      if taskOf(row) == id then return row end
    end
  end
end

local function pendingIn(place, key, places)
  local row = entryIn(key, places)
  if not row then return nil end
  stream = key
  local info = theGroup(group)
  local pending = info and redis.call('XPENDING', key, info.name, row[1], row[1], 1)[1]
  if info and not pending then
    -- The group has settled it, and it is there for another one.
    local waits = redis.call('XRANGE', key, '(' .. info['last-delivered-id'], row[1], 'COUNT', 1)
    if #waits == 0 then return nil end
  end
  if not pending or pending[2] == released or isParked(pending[2]) then return { place, row[1], row[2] } end
  return { place, row[1], row[2], pending[2], pending[3], pending[4] }
end

local function letter()
  local row = entryIn(dead, deadIndex)
  return row and { 'dead', row[1], row[2] }
end

return dueOf('delayed', delayed, bodies) or dueOf('own-delayed', retryDelayed, retryBodies)
  or pendingIn('stream', stream, index) or pendingIn('own-stream', retryStream, retryIndex)
  or letter() or false`,
  decode: (reply): Located | undefined => (reply === null ? undefined : located(reply as LocatedRow)),
});

type LocatedRow = [place: Buffer, id: Buffer, ...rest: (Buffer | Buffer[] | number)[]];

function located([tag, id, ...rest]: LocatedRow): Located {
  const [, own, place] = /^(own-)?(.*)$/.exec(tag.toString()) ?? [];
  if (place === 'delayed') {
    return { place, own: own !== undefined, row: delayedRow([id, ...(rest as [Buffer, Buffer])]) };
  }
  const [fields, consumer, idleMs = 0, deliveries = 1] = rest as [Buffer[], Buffer?, number?, number?];
  const entry = { id: id.toString(), fields: fields.map(String) };
  const row = consumer ? { ...entry, pending: { consumer: consumer.toString(), idleMs, deliveries } } : entry;
  return place === 'dead' ? { place, row } : { place: 'stream', own: own !== undefined, row };
}
