import { defineScript, lua } from '../../../redis/index.js';
import type { Entry } from '../stream-reply.js';
import { ANSWER } from './answer.fragment.js';
import { FORGET } from './forget.fragment.js';
import { GATES } from './gates.fragment.js';
import { HISTORY } from './history.fragment.js';
import { INDEX } from './index.fragment.js';
import { JOIN } from './join.fragment.js';
import { MOVES } from './move-rights.js';
import { TELL } from './tell.fragment.js';
import { ORDER } from './uses.fragment.js';

/** What became of finished tasks of an ordered queue. */
export interface KeyedAck {
  /** How many were still pending with the caller, for the delivery that it named. The others are settled by those who have them. */
  readonly acked: number;
  /** The next tasks of their keys. They are pending with the caller now, which must run them. */
  readonly opened: Entry[];
}

/** A task that has ended, for {@link endedTasks}. */
export interface EndedTask {
  /** Of its entry. */
  readonly id: string;
  readonly deliveries: number;
  readonly taskId: string;
  /** Its ordering key; '': it has none. */
  readonly key: string;
  /** Names its join and its number there. */
  readonly join?: string | undefined;
  /** What is recorded of its run; '': nothing. */
  readonly run?: string | undefined;
}

/** What the script is told of the tasks. Two texts are sent and read faster than an argument for each id and each key. */
export function endedTasks(tasks: readonly EndedTask[]) {
  let entries = '';
  let ordering = '';
  const rest: (string | number)[] = [];
  for (const [i, { id, deliveries, taskId, key, join = '', run = '' }] of tasks.entries()) {
    const hasNul = key.includes('\0');
    entries += `${id} ${deliveries} `;
    ordering += hasNul ? '\0' : `${key}\0`;
    if (taskId !== id || hasNul || join !== '' || run !== '') rest.push(i + 1, taskId, hasNul ? key : '', join, run);
  }
  return { entries, ordering, rest };
}

/** How many arguments a task has of which more is to be said than usual. */
const EACH = 5;

/** Tasks of the caller that run or wait between those that have ended: so many are read with them. The others are looked for one by one. */
const BETWEEN = 64;

/**
 * Acknowledges and deletes finished tasks of an ordered queue, and opens the next task of each key, in the same step.
 *
 * KEYS  stream, other (the group's own retries for the queue, and the queue for the retries), index, gates, line, alive, history, uses
 * ARGV  group, consumer, opensMost (how many further tasks the caller takes at most), perKey (how many
 *       tasks of a key may run), side (what the names of the queue's side keys begin
 *       with), inboxes, for one task whose publisher waits its meta, and kind and text of the result (else ''), entries (the id of each
 *       entry and its deliveries, with a space behind each), ordering (the key of each task, with NUL behind it; without a key, that
 *       alone), then for each task of which more is to be said: which one of them it is, its task's id, its key ('': as in
 *       ordering), the text that names its join and its number there ('': none), and what is recorded of its run (see
 *       `history.fragment.ts`; '': nothing)
 * Reply {@link KeyedAck}
 *
 * Fence: unlike `queue:ack`, the entry must be pending with the caller, for this delivery. A process that was presumed dead may finish
 * its run while another one runs the task again. If its late success counted, the next task of the key would begin beside that run.
 *
 * Crash: it is one script, so a task is pending and holds its key, or it is done and the next one has the key. The opened tasks are pending
 * with the caller: its reconciliation finds them if the reply is lost, or the reaping of its lease. Resend, repeat: the tasks are
 * not pending any more, so nothing happens. Pause: fenced. Reorder: ids of entries are never used again. Full server: the first write
 * is XACK, which is allowed. If the stream or its group was deleted, nothing is pending: `queue:heal-keys` opens the keys.
 * A target of a join, `gates`, `line` or `history` of another type: refused before the first write, and the worker sends it again.
 * Slots: the keys of one queue.
 */
export const ackKeyedScript = defineScript({
  name: 'queue:ack-keyed',
  rights: MOVES,
  keys: ['stream', 'other', 'index', 'gates', 'line', 'alive', 'history', 'uses'],
  args: {
    group: 'text',
    consumer: 'text',
    opensMost: 'number',
    perKey: 'number',
    side: 'text',
    inboxes: 'text',
    meta: 'text',
    kind: 'text',
    text: 'text',
    entries: 'text',
    ordering: 'text',
  },
  lua: lua`
${FORGET}
${INDEX}
${JOIN}
${ANSWER}
${HISTORY}
${TELL}
-- The keys are given.
local keyPath, mayBeTaken = '', not redis.call('HGET', uses, '${ORDER}')
${GATES}
if not gatesFine() then return redis.error_reply('WRONGTYPE ' .. gates .. ' or ' .. line .. ' is something else') end
local keys, members, others, runs, count = {}, {}, {}, {}, 0
for key in string.gmatch(ordering, '([^%z]*)%z') do keys[#keys + 1] = gateKey(key) or false end
for i = rest + 1, #ARGV, ${EACH} do
  local n = tonumber(ARGV[i])
  others[n] = ARGV[i + 1]
  if ARGV[i + 2] ~= '' then keys[n] = gateKey(ARGV[i + 2]) end
  local member, refused = joined(ARGV[i + 3])
  if refused then return refused end
  members[n] = member
  if ARGV[i + 4] ~= '' then runs[n] = ARGV[i + 4] end
end
local refused = refusedRecord(next(runs) ~= nil)
if refused then return refused end
local sent, deliveries, lowest = {}, {}, nil
for id, times in string.gmatch(entries, '(%S+) (%d+) ') do
  count = count + 1
  sent[count], deliveries[count] = id, tonumber(times)
  if not lowest or #id < #lowest or #id == #lowest and id < lowest then lowest = id end
end
-- Entry → its deliveries, of those that are pending with the caller.
local pending = {}
local function readPending(from, to, most)
  for _, row in ipairs(redis.pcall('XPENDING', stream, group, from, to, most, consumer)) do pending[row[1]] = row[4] end
end
if count > 1 then readPending(lowest, '+', count + ${BETWEEN}) end
local ids, tasks, gatesOf, acked, recorded = {}, {}, {}, {}, {}
for n = 1, count do
  local id = sent[n]
  if pending[id] == nil then readPending(id, id, 1) end
  if pending[id] == deliveries[n] then
    pending[id] = false
    local at = #ids + 1
    ids[at], tasks[at], gatesOf[at] = id, others[n] or id, keys[n]
    acked[#acked + 1] = members[n]
    recorded[at] = runs[n]
  end
end
if #ids == 0 then return { 0, {} } end
redis.call('XACK', stream, group, unpack(ids))
if next(recorded) then
  for n, id in ipairs(ids) do rememberEntry(id, tasks[n], recorded[n] or '') end
end
if forget(unpack(ids)) then
  for n, id in ipairs(ids) do unindex(index, tasks[n], id) end
end
for _, member in ipairs(acked) do settleMember(member, 'completed') end
passOnAll(gatesOf, tasks)
if meta ~= '' then answer(meta, tasks[1], kind, text) end
closeJoins()
for home in pairs(freed) do tell('queue:released', home) end
return { #ids, opened }`,
  decode: (reply): KeyedAck => {
    const [acked, opened] = reply as [number, [string, number, string[]][]];
    return { acked, opened: opened.map(([id, deliveries, fields]) => ({ id, deliveries, fields })) };
  },
});
