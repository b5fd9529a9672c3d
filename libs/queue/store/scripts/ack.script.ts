import { defineScript, lua } from '../../../redis/index.js';
import { FORGET } from './forget.fragment.js';
import { INDEX } from './index.fragment.js';

/**
 * Acknowledges and deletes finished tasks of one stream.
 *
 * KEYS  stream, index
 * ARGV  group, count, then so many ids of entries, then entry and task in turn for those whose task has another id
 * Reply how many were still pending
 *
 * Crash, resend: a repeat changes nothing, because XACK and XDEL of missing entries are no-ops. Pause: another consumer may own
 * the entry by now. The task is done, so a success is not fenced. At worst the new owner runs the task again, and its
 * acknowledgement finds nothing. Reorder: ids are never reused.
 * If the stream was deleted meanwhile, nothing is pending any more, and the stream stays deleted.
 */
export const ackScript = defineScript({
  name: 'queue:ack',
  keys: ['stream', 'index'],
  args: { group: 'text', count: 'number' },
  lua: lua`
${FORGET}
${INDEX}
local acked = redis.call('XACK', stream, group, unpack(ARGV, rest + 1, rest + count))
if redis.call('EXISTS', stream) == 1 and forget(unpack(ARGV, rest + 1, rest + count)) then
  for i = rest + count + 1, #ARGV, 2 do unindex(index, ARGV[i + 1], ARGV[i]) end
end
return acked`,
  decode: (reply) => reply as number,
});
