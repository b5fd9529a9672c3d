import { defineScript, lua } from '../../../redis/index.js';
import { FORGET } from './forget.fragment.js';
import { INDEX } from './index.fragment.js';
import { JOIN } from './join.fragment.js';
import { JOIN_WRITES } from './move-rights.js';

/**
 * Acknowledges and deletes finished tasks that are members of joins, and counts them there.
 *
 * KEYS  stream, index
 * ARGV  group, side (what the names of the queue's side keys begin with), then for each: the id of its entry, its task's id, and the
 *       text that names join and member
 * Reply how many were still pending
 *
 * A member is counted if XACK returned 1: then this call has ended the task. A success is not fenced, as in `queue:ack`: a worker whose
 * task was taken over may come first, and the acknowledgement of the new owner finds nothing. If the task has already been queued again
 * under another entry, the late acknowledgement finds nothing either, and the task counts when it ends there.
 *
 * Crash: it is one script, so a task is pending, or it is acknowledged and counted. Resend: XACK returns 0, and nothing is counted.
 * Pause, reorder: as in `queue:ack`. Full server: the first write is XACK, which is allowed, and then so is the rest. A target that is no
 * stream: the script is refused before its first write, and the worker sends it again. Slots: the keys of one queue, the records beside
 * it, and their targets, which are in its slot.
 */
export const ackMembersScript = defineScript({
  name: 'queue:ack-members',
  keys: ['stream', 'index'],
  args: { group: 'text', side: 'text' },
  rights: ['XACK', 'XDEL', ...JOIN_WRITES],
  lua: lua`
${FORGET}
${INDEX}
${JOIN}
local ids, members = {}, {}
for i = rest + 1, #ARGV, 3 do
  local member, refused = joined(ARGV[i + 2])
  if refused then return refused end
  ids[#ids + 1] = ARGV[i]
  members[#ids] = member or false
end
local acked = 0
for n, id in ipairs(ids) do
  if redis.call('XACK', stream, group, id) == 1 then
    acked = acked + 1
    settleMember(members[n], 'completed')
  end
end
if redis.call('EXISTS', stream) == 1 and forget(unpack(ids)) then
  for i = rest + 1, #ARGV, 3 do unindex(index, ARGV[i + 1], ARGV[i]) end
end
closeJoins()
return acked`,
  decode: (reply) => reply as number,
});
