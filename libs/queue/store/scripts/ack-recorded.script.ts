import { defineScript, lua } from '../../../redis/index.js';
import { FORGET } from './forget.fragment.js';
import { HISTORY } from './history.fragment.js';
import { INDEX } from './index.fragment.js';
import { JOIN } from './join.fragment.js';
import { JOIN_WRITES } from './move-rights.js';

/**
 * Acknowledges and deletes finished tasks of a queue with a history, and writes a record of each. Those that are members of joins are
 * counted there.
 *
 * KEYS  stream, index, history
 * ARGV  group, side (what the names of the queue's side keys begin with), then for each: the id of its entry, its task's id, the text that
 *       names join and member ('': none), and what is recorded of its run (see `history.fragment.ts`)
 * Reply how many were still pending
 *
 * A task is recorded if XACK returned 1: then this call has ended it. So a success has one record, whoever had the task. As in `queue:ack`,
 * it is not fenced: a worker whose task was taken over may come first, and the acknowledgement of the new owner finds nothing.
 *
 * Crash: it is one script, so a task is pending, or it is acknowledged and recorded. Resend: XACK returns 0, and nothing is recorded. Pause,
 * reorder: as in `queue:ack`. Full server: the first write is XACK, which is allowed, and then so is the rest. A history, or a target of a
 * join, that is no stream: the script is refused before its first write, and the worker sends it again. If the entry was deleted by other
 * software, the record has no payload. Slots: the keys of one queue, the records of joins beside it, and their targets in its slot.
 */
export const ackRecordedScript = defineScript({
  name: 'queue:ack-recorded',
  keys: ['stream', 'index', 'history'],
  args: { group: 'text', side: 'text' },
  rights: ['XACK', 'XDEL', 'XRANGE', ...JOIN_WRITES],
  lua: lua`
${FORGET}
${INDEX}
${JOIN}
${HISTORY}
local refused, member = refusedRecord(true), nil
if refused then return refused end
local ids, members = {}, {}
for i = rest + 1, #ARGV, 4 do
  member, refused = joined(ARGV[i + 2])
  if refused then return refused end
  ids[#ids + 1] = ARGV[i]
  members[#ids] = member or false
end
local acked = 0
for n, id in ipairs(ids) do
  if redis.call('XACK', stream, group, id) == 1 then
    acked = acked + 1
    local at = rest + 4 * (n - 1)
    rememberEntry(id, ARGV[at + 2], ARGV[at + 4])
    settleMember(members[n], 'completed')
  end
end
if redis.call('EXISTS', stream) == 1 and forget(unpack(ids)) then
  for i = rest + 1, #ARGV, 4 do unindex(index, ARGV[i + 1], ARGV[i]) end
end
closeJoins()
return acked`,
  decode: (reply) => reply as number,
});
