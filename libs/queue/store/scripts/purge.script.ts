import { defineScript, lua } from '../../../redis/index.js';
import { BODY_META } from './body-meta.fragment.js';
import { GROUP } from './group.fragment.js';
import { ID_ORDER } from './id-order.fragment.js';
import { INDEX } from './index.fragment.js';
import { JOIN } from './join.fragment.js';
import { JOIN_WRITES } from './move-rights.js';
import { IS_PARKED } from './parked.fragment.js';
import { ID_IN } from './task-id.fragment.js';
import { QUEUE_USES } from './uses.fragment.js';
import { WAITING_ROWS } from './waiting-rows.fragment.js';

/** One step of a purge. */
export interface PurgeStep {
  /** How many tasks were removed. */
  readonly removed: number;
  /** How many entries were looked at. Fewer than asked for: there are no more. */
  readonly looked: number;
  /** How many bytes these entries have. */
  readonly bytes: number;
  /** The last entry that was looked at: the next step begins behind it. */
  readonly after: string;
  /** The last entry of the whole purge. */
  readonly to: string;
  /** The groups that read the stream, if the given one is none of them. Nothing was removed. */
  readonly readers?: readonly string[];
}

/**
 * Removes a part of the tasks that wait in a stream: those that no worker of any group has.
 *
 * KEYS  stream, index, uses
 * ARGV  group, released, after (an entry's id: those behind it; '' from the beginning), to (the last entry of the purge; '': the one
 *       that is the last now), count, side (see `join.fragment.ts`)
 * Reply a {@link PurgeStep}
 *
 * It removes what waits for the group: returned entries (pending with `released`), those that wait for their ordering key (`~parked`),
 * and entries that the group was not given yet. An entry that a worker of another group has stays, because its settlement must find it.
 * An entry that waits for several groups is
 * removed for all of them, as by `queue:remove-waiting`. What is published after the first step has a higher id than `to`, and stays.
 * Members of joins are counted there as removed.
 *
 * Crash: each step is one script, so a task is there or removed. Repeat, resend: finds nothing where it was. Two purges at once, or
 * a worker that reads in between: the scripts run one after the other, and each looks again whether a worker has the entry. A
 * worker that reads a task before it is removed runs it. Full server: acknowledging and deleting are allowed. The steps are bounded by
 * `count`, because all other clients wait for a script. Newer data: nothing is removed. Slots: the keys of one queue.
 */
export const purgeWaitingScript = defineScript({
  name: 'queue:purge-waiting',
  keys: ['stream', 'index', 'uses'],
  args: { group: 'text', released: 'text', after: 'text', to: 'text', count: 'number', side: 'text' },
  rights: ['XACK', 'XDEL', ...JOIN_WRITES],
  lua: lua`
${GROUP}
${IS_PARKED}
${ID_ORDER}
${WAITING_ROWS}
${ID_IN}
${INDEX}
${JOIN}
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
local info, groupCount = theGroup(group)
local names = {}
if groupCount > 0 then
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do names[#names + 1] = flat[2] end
  if not info then return { 0, 0, 0, '', '', names } end
end
if to == '' then
  local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  if not last then return { 0, 0, 0, '', '' } end
  to = last[1]
end

local rows = {}
local from = after == '' and '-' or '(' .. after
if info then
  for _, row in ipairs(waitingRows(info.name, from, to, count)) do
    rows[#rows + 1] = redis.call('XRANGE', stream, row[1], row[1])[1] or { row[1], {} }
  end
  local last = info['last-delivered-id']
  if after == '' or isBefore(after, last) then from = '(' .. last end
end
if #rows < count and (from == '-' or isBefore(string.sub(from, 2), to)) then
  for _, row in ipairs(redis.call('XRANGE', stream, from, to, 'COUNT', count - #rows)) do rows[#rows + 1] = row end
end

-- The groups to which the entry was returned; nil: a worker has it.
local function returnedTo(id)
  local groups = {}
  for _, name in ipairs(names) do
    local pending = redis.call('XPENDING', stream, name, id, id, 1)[1]
    if pending then
      if pending[2] ~= released and not isParked(pending[2]) then return nil end
      groups[#groups + 1] = name
    end
  end
  return groups
end

local bytes, tasks, members = 0, {}, {}
for n, row in ipairs(rows) do
  local fields = row[2]
  for i = 1, #fields, 2 do
    bytes = bytes + #fields[i + 1]
    if fields[i] == 'meta' then
      tasks[n] = idIn(fields[i + 1])
      members[n], refused = joined(joinIn(fields[i + 1]))
      if refused then return refused end
    end
  end
end
local removed = 0
for n, row in ipairs(rows) do
  local id = row[1]
  local groups = returnedTo(id)
  if groups then
    for _, name in ipairs(groups) do redis.call('XACK', stream, name, id) end
    unindex(index, tasks[n] or id, id)
    if redis.call('XDEL', stream, id) == 1 then
      removed = removed + 1
      settleMember(members[n], 'removed')
    end
  end
end
closeJoins()
return { removed, #rows, bytes, #rows > 0 and rows[#rows][1] or after, to }`,
  decode: (reply): PurgeStep => {
    const [removed, looked, bytes, after, to, readers] = reply as [number, number, number, string, string, string[]?];
    return { removed, looked, bytes, after, to, ...(readers && { readers }) };
  },
});

/** How many bytes of delayed tasks one step removes, plus one task: they are read, to find the joins that they are members of. */
const BODY_BYTES = 4 * 2 ** 20;

export interface PurgedDelayed {
  /** How many tasks were removed. */
  readonly removed: number;
  /** How many there were before. */
  readonly total: number;
}

/**
 * Removes some of the delayed tasks, the next due first: at most `count`, and some megabytes.
 *
 * KEYS  delayed, bodies, uses
 * ARGV  count, side (see `join.fragment.ts`)
 * Reply {@link PurgedDelayed}
 *
 * Promotion and removal are one script each: the one that comes second does not find the task. Crash, repeat, resend: a repeat removes
 * the next ones, which are to be removed as well. Full server: the first write is ZREM, which is allowed. Newer data: nothing is
 * removed. Members of joins are counted there as removed.
 */
export const purgeDelayedScript = defineScript({
  name: 'queue:purge-delayed',
  keys: ['delayed', 'bodies', 'uses'],
  args: { count: 'number', side: 'text' },
  rights: ['ZREM', 'HDEL', ...JOIN_WRITES],
  lua: lua`
${BODY_META}
${JOIN}
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
local total = redis.call('ZCARD', delayed)
local handles = redis.call('ZRANGE', delayed, 0, count - 1)
if #handles == 0 then return { 0, total } end
local members, bytes = {}, 0
for i = 1, #handles do
  if bytes < ${BODY_BYTES} then
    local body = redis.call('HGET', bodies, handles[i]) or ''
    bytes = bytes + #body
    members[i], refused = joined(joinIn(metaOfBody(body)))
    if refused then return refused end
  else handles[i] = nil end
end
redis.call('ZREM', delayed, unpack(handles))
redis.call('HDEL', bodies, unpack(handles))
for i = 1, #handles do settleMember(members[i], 'removed') end
closeJoins()
return { #handles, total }`,
  decode: (reply): PurgedDelayed => {
    const [removed, total] = reply as [number, number];
    return { removed, total };
  },
});
