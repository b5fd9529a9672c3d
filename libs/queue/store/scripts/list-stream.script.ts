import { defineScript, lua } from '../../../redis/index.js';
import { GROUP } from './group.fragment.js';
import { ID_ORDER } from './id-order.fragment.js';
import { IS_PARKED } from './parked.fragment.js';
import { WAITING_ROWS } from './waiting-rows.fragment.js';

/** An entry of a queue's stream, as an operator sees it. */
export interface ListedEntry {
  readonly id: string;
  readonly fields: readonly string[];
  /** The worker with which the entry is pending, for how many milliseconds, and how often the entry was delivered. */
  readonly pending?: { readonly consumer: string; readonly idleMs: number; readonly deliveries: number };
}

/**
 * A page of the entries that wait in a stream, or of those that are with workers, oldest first.
 *
 * KEYS  stream
 * ARGV  group, released, state ('waiting' or 'running'), after (an entry's id: those behind it; '' from the beginning),
 *       count
 * Reply up to count {@link ListedEntry}, fewer only at the end
 *
 * Returned entries (pending with `released`) count as waiting, and so do those that wait for their ordering key (`~parked`).
 * Read-only.
 */
export const listStreamScript = defineScript({
  name: 'queue:list-stream',
  keys: ['stream'],
  args: { group: 'text', released: 'text', state: 'text', after: 'text', count: 'number' },
  lua: lua`
${GROUP}
${IS_PARKED}
${ID_ORDER}
${WAITING_ROWS}
local info = theGroup(group)
local page = {}
local from = after == '' and '-' or '(' .. after

local function addPending(row)
  local entry = redis.call('XRANGE', stream, row[1], row[1])[1]
  if not entry then return end
  if row[2] == released or isParked(row[2]) then page[#page + 1] = entry
  else page[#page + 1] = { entry[1], entry[2], row[2], row[3], row[4] } end
end

-- The first entries of each worker: what waits for its key may be a hundred times as many.
local function runningRows()
  local rows = {}
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', stream, info.name)) do
    if flat[4] > 0 and flat[2] ~= released and not isParked(flat[2]) then
      for _, row in ipairs(redis.call('XPENDING', stream, info.name, from, '+', count, flat[2])) do rows[#rows + 1] = row end
    end
  end
  table.sort(rows, function(a, b) return isBefore(a[1], b[1]) end)
  return rows
end

if info and state == 'running' then
  while #page < count do
    local rows = runningRows()
    for i = 1, math.min(count, #rows) do
      if #page < count then addPending(rows[i]) end
    end
    if #rows < count then break end
    from = '(' .. rows[count][1]
  end
end

if state == 'waiting' then
  if info then
    for _, row in ipairs(waitingRows(info.name, from, '+', count)) do addPending(row) end
    local last = info['last-delivered-id']
    if after == '' or isBefore(after, last) then from = '(' .. last end
  end
  if #page < count then
    for _, entry in ipairs(redis.call('XRANGE', stream, from, '+', 'COUNT', count - #page)) do
      page[#page + 1] = entry
    end
  end
end
return page`,
  decode: (reply) => (reply as ListedRow[]).map(listed),
});

export type ListedRow = [id: string, fields: string[], consumer?: string, idleMs?: number, deliveries?: number];

export function listed([id, fields, consumer, idleMs = 0, deliveries = 1]: ListedRow): ListedEntry {
  return consumer === undefined ? { id, fields } : { id, fields, pending: { consumer, idleMs, deliveries } };
}
