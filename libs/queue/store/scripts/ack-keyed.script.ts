import { defineScript, lua } from '../../../redis/index.js';
import type { Entry } from '../stream-reply.js';
import { ANSWER } from './answer.fragment.js';
import { FORGET } from './forget.fragment.js';
import { GATES } from './gates.fragment.js';
import { INDEX } from './index.fragment.js';
import { JOIN } from './join.fragment.js';
import { TELL } from './tell.fragment.js';

/** What became of finished tasks of an ordered queue. */
export interface KeyedAck {
  /** How many were still pending with the caller, for the delivery that it named. The others are settled by those who have them. */
  readonly acked: number;
  /** The next tasks of their keys. They are pending with the caller now, which must run them. */
  readonly opened: Entry[];
}

/** How many arguments each task has. */
const EACH = 8;

/**
 * Acknowledges and deletes finished tasks of an ordered queue, and opens the next task of each key, in the same step.
 *
 * KEYS  stream, other (the group's own retries for the queue, and the queue for the retries), index, gates, line, alive
 * ARGV  group, consumer, opensMost (how many further tasks the caller takes at most), perKey (how many
 *       tasks of a key may run), side (what the names of the queue's side keys begin
 *       with), inboxes, then for each task: the id of its entry, its deliveries, its task's id, its key ('': none), the text that names its
 *       join and its number there ('': none), and for a task whose publisher waits its meta, and kind and text of the result (else '')
 * Reply {@link KeyedAck}
 *
 * Fence: unlike `queue:ack`, the entry must be pending with the caller, for this delivery. A process that was presumed dead may finish
 * its run while another one runs the task again. If its late success counted, the next task of the key would begin beside that run.
 *
 * Crash: it is one script, so a task is pending and holds its key, or it is done and the next one has the key. The opened tasks are pending
 * with the caller: its reconciliation finds them if the reply is lost, or the reaping of its lease. Resend, repeat: the tasks are
 * not pending any more, so nothing happens. Pause: fenced. Reorder: ids of entries are never used again. Full server: the first write
 * is XACK, which is allowed. If the stream or its group was deleted, nothing is pending: `queue:heal-keys` opens the keys.
 * A target of a join, `gates` or `line` of another type: refused before the first write, and the worker sends it again.
 * Slots: the keys of one queue.
 */
export const ackKeyedScript = defineScript({
  name: 'queue:ack-keyed',
  keys: ['stream', 'other', 'index', 'gates', 'line', 'alive'],
  args: { group: 'text', consumer: 'text', opensMost: 'number', perKey: 'number', side: 'text', inboxes: 'text' },
  lua: lua`
${FORGET}
${INDEX}
${JOIN}
${ANSWER}
${TELL}
-- The keys are given.
local keyPath = ''
${GATES}
if not gatesFine() then return redis.error_reply('WRONGTYPE ' .. gates .. ' or ' .. line .. ' is something else') end
local members = {}
for i = rest + 1, #ARGV, ${EACH} do
  local member, refused = joined(ARGV[i + 4])
  if refused then return refused end
  members[i] = member
end
local function isMine(id, deliveries)
  local rows = redis.pcall('XPENDING', stream, group, id, id, 1)
  local pending = rows[1]
  return pending and pending[2] == consumer and pending[4] == deliveries
end
local acked, ids = {}, {}
for i = rest + 1, #ARGV, ${EACH} do
  if isMine(ARGV[i], tonumber(ARGV[i + 1])) and redis.call('XACK', stream, group, ARGV[i]) == 1 then
    acked[#acked + 1] = i
    ids[#ids + 1] = ARGV[i]
  end
end
if #acked == 0 then return { 0, {} } end
if forget(unpack(ids)) then
  for _, i in ipairs(acked) do unindex(index, ARGV[i + 2], ARGV[i]) end
end
for _, i in ipairs(acked) do
  settleMember(members[i], 'completed')
  passOn(gateKey(ARGV[i + 3]), ARGV[i + 2])
  if ARGV[i + 5] ~= '' then answer(ARGV[i + 5], ARGV[i + 2], ARGV[i + 6], ARGV[i + 7]) end
end
closeJoins()
for home in pairs(freed) do tell('queue:released', home) end
return { #acked, opened }`,
  decode: (reply): KeyedAck => {
    const [acked, opened] = reply as [number, [string, number, string[]][]];
    return { acked, opened: opened.map(([id, deliveries, fields]) => ({ id, deliveries, fields })) };
  },
});
