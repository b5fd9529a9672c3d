import { LIMIT_US, defineScript, lua } from '../../../redis/index.js';
import { ANSWER } from './answer.fragment.js';
import { DEAD_LETTER } from './dead-letter.fragment.js';
import { PARKED } from '../queue.keys.js';
import { FORGET } from './forget.fragment.js';
import { GATES } from './gates.fragment.js';
import { HISTORY } from './history.fragment.js';
import { INDEX } from './index.fragment.js';
import { JOIN } from './join.fragment.js';
import { IS_OF } from './key-type.fragment.js';
import { MARKED } from './marked.fragment.js';
import { MOVES } from './moves.js';
import { NOW } from './now.fragment.js';
import { reapedFrom, type Reaped } from './reap.script.js';
import { CLAIM_BYTES, TAKE_OVER, TAKE_OVER_ARGS } from './take-over.fragment.js';
import { ID_IN } from './task-id.fragment.js';
import { ORDER, QUEUE_USES } from './uses.fragment.js';

/** What a worker with limits of the fleet was given: in `claimed`, the tasks that it may start. */
export interface Taken extends Reaped {
  /** How many of `claimed` were taken over. The others are new. */
  readonly takenOver: number;
  /** The last entry that the group was given. */
  readonly lastId: string;
  /** There are more tasks, which the limits or the caller had no room for. */
  readonly waits: boolean;
  /** Milliseconds until the rate has room again, if nobody takes it before; 0: it has room. */
  readonly afterMs: number;
  /** As many tasks run in the fleet as may. */
  readonly isFull: boolean;
}

/** How many new entries one call looks at before it says that there are more: about a millisecond of the server's time. */
const LOOKS_MOST = 1_000;

/**
 * Gives a worker as many tasks as the limits of the fleet and the worker itself have room for: those of dead consumers first, then new
 * ones. What it gives may start; what waits stays unread in the stream, holds no place and has used no attempt and no delivery.
 *
 * KEYS  stream, other (the group's own retries for the queue, and the queue for the retries), rate, grace, those of `queue:reap`, and for
 *       an ordered queue gates, line
 * ARGV  those of `queue:reap`; limit and perMs (at most so many starts in so many ms; limit 0: any number), graceMs (how late the
 *       caller may start what it is given), usualMs (what every caller's graceMs is at least), fleet (at most so many tasks at a time;
 *       0: any number), readMost (at most so many new entries are read at once); for an ordered queue closes (1: after
 *       a dead letter, its key stops), perKey (how many tasks of a key may run), keyPath (where the payload has the key; '': the entry has
 *       it), feature (the name in uses)
 * Reply {@link Taken}
 *
 * **fleet**: the tasks that run are those that are pending with consumers, in the queue and in the group's own retries. They are counted
 * anew each time, so there is no counter that could drift: whatever settles, returns or takes over a task moves its place in the same
 * step. A consumer that is dead, by the proof of `queue:reap`, holds no place, and returned tasks hold none. A caller without the
 * proof counts what pends with the dead, so after an outage no process takes places whose owners are about to renew their leases.
 *
 * **rate**: one unit of a sliding window (`LIMIT_US`) per task that is given, so a second delivery counts again. The window is longer than
 * perMs by the grace: whoever gets the reply starts the tasks within its graceMs after it *sent* the call, or returns them. So starts in
 * any perMs were given within perMs + grace of each other, however long a process was paused in between. The largest grace of any
 * caller holds for all of them while starts that it allowed may still come: `grace` keeps it for so long, unless it is the usual one.
 *
 * **order**: what may not run yet, because of its key, is parked ({@link GATES}). Reading and parking are one step, or two processes that
 * read one after the other could register their entries the other way round. Parked tasks hold no place, and the script reads on until
 * the room is used, or it has looked at a thousand entries. The name of the feature must stand in `uses`, and its instant be over: before,
 * processes that know no order may read as well.
 *
 * Crash of the caller, lost reply: the entries are pending with the caller and hold places. Its reconciliation, or the reaping of its
 * lease, deals with them; what the rate was charged lapses with its window. Resend: the same. Two callers: one after the other.
 * Late execution: entries pend with the caller, too late to start, and are returned. Pause of the caller: see rate.
 *
 * A full server refuses SET as the first write. Whenever units are charged, XCLAIM or XREADGROUP came before; a state that has to be
 * written although nothing was charged (the clock was set back) is deleted first.
 * Slots: the keys of one queue.
 */
export const takeScript = defineScript({
  name: 'queue:take',
  rights: MOVES,
  keys: [
    'stream',
    'other',
    'rate',
    'grace',
    'alive',
    'dead',
    'index',
    'deadIndex',
    'cancelled',
    'uses',
    'failedTo',
    'history',
  ],
  args: {
    ...TAKE_OVER_ARGS,
    limit: 'number',
    perMs: 'number',
    graceMs: 'number',
    usualMs: 'number',
    fleet: 'number',
    readMost: 'number',
  },
  lua: lua`
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
${NOW}
${IS_OF}
${FORGET}
${ID_IN}
${INDEX}
${ANSWER}
${HISTORY}
${DEAD_LETTER}
${JOIN}
${MARKED}
local gates, line = KEYS[13], KEYS[14]
local isOrdered, closes = gates ~= nil, ARGV[rest + 1] == '1'
local perKey, keyPath = tonumber(ARGV[rest + 2] or 1), ARGV[rest + 3] or ''
-- What is opened here is returned, and not given to the caller: the limits may have no room for it.
local opensMost, admits, passesOn = 0, nil, nil
${GATES}
if isOrdered then
  local since = string.match(redis.call('HGET', uses, ARGV[rest + 4] or '${ORDER}') or '', '(%d+)$')
  if not since or now < tonumber(since) then return redis.error_reply('NOORDER ' .. uses .. ' does not say that the queue is ordered') end
  if not gatesFine() then return redis.error_reply('WRONGTYPE ' .. gates .. ' or ' .. line .. ' is something else') end
  admits = admit
  passesOn = function(fields, task, isDead)
    local key = keyOf(fields)
    if isDead and closes then closeGate(key, task) else passOn(key, task) end
  end
end
${TAKE_OVER}
local nowUs = clock[1] * 1000000 + clock[2]
${LIMIT_US}
-- Tasks that consumers have, and tasks that wait to be taken over.
local busy, orphaned = 0, 0
local function count(infos)
  if infos.err then return 0 end
  local nobodys = 0
  for _, info in ipairs(infos) do
    if isDead(info[2]) then nobodys = nobodys + info[4]
    elseif info[2] ~= '${PARKED}' then busy = busy + info[4] end
  end
  return nobodys
end
orphaned = count(redis.call('XINFO', 'CONSUMERS', stream, group))
if fleet > 0 and redis.call('EXISTS', other) == 1 then count(redis.pcall('XINFO', 'CONSUMERS', other, group)) end

local room, state, window, keepsGrace = capacity, nil, nil, false
if fleet > 0 then room = math.min(room, math.max(0, fleet - busy)) end
if limit > 0 then
  local known = tonumber(redis.call('GET', grace) or 0) or 0
  window = perMs + math.max(graceMs, known)
  keepsGrace = graceMs > usualMs and graceMs >= known
  state = openLimit(rate, 's', limit, window * 1000)
  room = roomFor(state, room, 1)
end

takeOver(room)
if mayJudge then redis.call('ZREMRANGEBYSCORE', alive, '-inf', now) end
local takenOver, left, looked, isLast, fresh = #claimed, room - #claimed, 0, false, {}
local function mayLook() return looked < ${LOOKS_MOST} and bytes < ${CLAIM_BYTES} and not isLast end
-- Reads up to so many new entries, in parts that fit into memory. Returns them with their keys and tasks.
local function readNew(most)
  local entries, keys, tasks = {}, {}, {}
  while #entries < most and mayLook() do
    local count = math.min(most - #entries, readMost)
    local reply = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'STREAMS', stream, '>')
    local part = reply and reply[1][2] or {}
    looked, isLast = looked + #part, #part < count
    for _, entry in ipairs(part) do
      local key, task, size = keyAndTask(entry[1], entry[2])
      bytes = bytes + size
      entries[#entries + 1] = entry
      keys[#entries], tasks[#entries] = key or false, task
    end
  end
  return entries, keys, tasks
end
while left > 0 and mayLook() do
  local entries, keys, tasks = readNew(left)
  if isOrdered then entries = admitAll(entries, keys, tasks) end
  for _, entry in ipairs(entries) do fresh[#fresh + 1] = entry end
  left = left - #entries
end

local after = 0
if state then
  local given = takenOver + #fresh
  if given > 0 then
    chargeLimit(state, given)
    saveLimit(state)
    if keepsGrace then redis.call('SET', grace, string.format('%.0f', graceMs), 'PX', string.format('%.0f', window)) end
  elseif state.stepped then
    redis.call('DEL', rate)
    saveLimit(state)
  end
  if roomFor(state, 1, 1) == 0 then after = retryAfter(state, 1) end
end

local lastId = '0-0'
for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local info = {}
  for i = 1, #row, 2 do info[row[i]] = row[i + 1] end
  if info.name == group then lastId = info['last-delivered-id'] end
end
local waits = more
if room == 0 and orphaned > #deadLetters + #dropped then waits = 1
elseif room > 0 and takenOver == room and orphaned > takenOver + #deadLetters + #dropped then waits = 1
elseif not isLast and #redis.call('XRANGE', stream, '(' .. lastId, '+', 'COUNT', 1) > 0 then waits = 1 end
-- Those who have ended here may have opened others, which were returned.
if next(freed) then waits = 1 end
local isFull = fleet > 0 and fleet - busy <= takenOver + #fresh and 1 or 0
return { claimed, deadLetters, more, dropped, fresh, lastId, waits, math.ceil(after / 1000), isFull }`,
  decode: (reply): Taken => {
    const [, , , , fresh, lastId, waits, afterMs, isFull] = reply as [
      ...[unknown, unknown, unknown, unknown],
      ...[[string, string[]][], string, number, number, number],
    ];
    const reaped = reapedFrom(reply);
    const takenOver = reaped.claimed.length;
    for (const [id, fields] of fresh) reaped.claimed.push({ id, deliveries: 1, fields });
    return { ...reaped, takenOver, lastId, waits: waits === 1, afterMs, isFull: isFull === 1 };
  },
});
