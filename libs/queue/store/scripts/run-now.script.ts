import { defineScript, lua } from '../../../redis/index.js';
import { NOW } from './now.fragment.js';
import { TELL } from './tell.fragment.js';
import { QUEUE_USES } from './uses.fragment.js';

/**
 * Makes a delayed task due at once.
 *
 * KEYS  delayed, alive, uses
 * ARGV  handle, target (the stream that the task goes to), inboxes
 * Reply 1: it is due, 0: no such task is delayed
 *
 * Only the due time changes: it is now, or stays where it is if that is earlier. The processes that promote get a message, and if it is
 * lost, their next renewal tells that a task is due. So the task is moved by the script that moves every delayed task, once.
 *
 * Crash, repeat, resend: the task is due already. Two callers at once, or a promotion in between: the second script finds the task due,
 * or gone. Full server: ZADD is refused, and nothing has changed. Newer data: nothing is changed. Slots: the keys of one queue.
 */
export const runNowScript = defineScript({
  name: 'queue:run-now',
  keys: ['delayed', 'alive', 'uses'],
  args: { handle: 'text', target: 'text', inboxes: 'text' },
  lua: lua`
${NOW}
${TELL}
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
if not redis.call('ZSCORE', delayed, handle) then return 0 end
redis.call('ZADD', delayed, 'XX', 'LT', string.format('%.0f', now), handle)
tell('queue:due', target, '0')
return 1`,
  decode: (reply) => reply === 1,
});
