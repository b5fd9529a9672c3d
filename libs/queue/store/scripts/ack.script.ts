import { defineScript, lua } from '../../../redis/index.js';
import { FORGET } from './forget.fragment.js';

/**
 * Acknowledges and deletes finished tasks of one stream.
 *
 * KEYS stream · ARGV group, then the ids · returns how many were still pending.
 *
 * Crash, resend: repeating it changes nothing, XACK and XDEL of what is gone are no-ops. Pause: whoever owns the
 * entry by now, its work is done, so success is not fenced: at worst the new owner does it again and its own
 * acknowledgement finds nothing. Reorder: ids are never reused.
 * A stream that was deleted meanwhile (nothing is pending any more) is left deleted.
 */
export const ackScript = defineScript({
  name: 'queue:ack',
  keys: ['stream'],
  args: { group: 'text' },
  lua: lua`
${FORGET}
local acked = redis.call('XACK', stream, group, unpack(ARGV, rest + 1))
if redis.call('EXISTS', stream) == 1 then forget(unpack(ARGV, rest + 1)) end
return acked`,
  decode: (reply) => reply as number,
});
