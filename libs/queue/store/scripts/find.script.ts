import { defineScript, lua } from '../../../redis/index.js';
import { ID_IN } from './task-id.fragment.js';
import { GROUP } from './group.fragment.js';
import { listed, type ListedEntry, type ListedRow } from './list-stream.script.js';

export interface Found {
  readonly entry: ListedEntry | undefined;
  /** Where to go on: an entry's id; '' at the end. */
  readonly next: string;
  /** How much was looked through, for nothing. */
  readonly bytes: number;
}

/** How far the server's clock may have been set back between a task's publish and its retry. */
const CLOCK_STEP_MS = 60_000;

/**
 * Looks through a slice of a stream for the entry of one task: the one whose own id that is or, after a retry, whose
 * `meta` carries it, or the dead letter of which it is the `original_id`.
 *
 * A search begins a minute before the task was published, as its id says: a retry and a dead letter come later than it.
 *
 * KEYS stream · ARGV id, group, released, letters (1: they are dead letters), after ('' first: then the entry of that
 * very id is tried), count · returns {@link Found}. Read-only.
 */
export const findScript = defineScript({
  name: 'queue:find',
  keys: ['stream'],
  args: {
    id: 'text',
    group: 'text',
    released: 'text',
    letters: 'number',
    after: 'text',
    count: 'number',
  },
  lua: lua`
${GROUP}
${ID_IN}
local bytes = 0
local function isIt(row)
  local carried, original
  for i = 1, #row[2], 2 do
    bytes = bytes + #row[2][i] + #row[2][i + 1]
    if row[2][i] == 'meta' then carried = idIn(row[2][i + 1])
    elseif row[2][i] == 'original_id' then original = row[2][i + 1] end
  end
  -- A dead letter's own id is nobody's: one of another stream may be the same.
  if letters == 1 and original then return original == id end
  return (carried or row[1]) == id
end

local function found(row)
  local info = theGroup(group)
  local pending = info and redis.call('XPENDING', stream, info.name, row[1], row[1], 1)[1]
  if not pending or pending[2] == released then return { '', 0, { row[1], row[2] } } end
  return { '', 0, { row[1], row[2], pending[2], pending[3], pending[4] } }
end

local from = after == '' and '-' or '(' .. after
local ms, seq = string.match(id, '^(%d+)%-(%d+)$')
if after == '' and ms and #ms <= 15 and #seq <= 18 then
  local row = redis.call('XRANGE', stream, id, id)[1]
  if row and isIt(row) then return found(row) end
  -- Whatever followed it is younger, by a clock that may have been set back a little; an id of another's making may be of any time.
  local since = math.min(tonumber(ms), redis.call('TIME')[1] * 1000) - ${CLOCK_STEP_MS}
  if since > 0 then from = string.format('%.0f', since) end
end
local rows = redis.call('XRANGE', stream, from, '+', 'COUNT', count)
for _, row in ipairs(rows) do
  if isIt(row) then return found(row) end
end
return { #rows == count and rows[#rows][1] or '', bytes }`,
  decode: (reply): Found => {
    const [next, bytes, row] = reply as [string, number, ListedRow?];
    return { next, bytes, entry: row && listed(row) };
  },
});
