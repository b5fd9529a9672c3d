import { defineScript, lua } from '../../../redis/index.js';
import { DELAY } from './delay.fragment.js';
import { NOW } from './now.fragment.js';

/**
 * Publishes tasks that are due later, all or none.
 *
 * KEYS  stream (names the queue, is not touched), delayed, bodies, alive
 * ARGV  delayMs, runAtMs (when they are due; -1: after delayMs), inboxes, timestamp, then for each: handle, payload,
 *       meta
 * Reply how many are new
 *
 * Crash: it is one script, so there is never a due time without a body, or a body without a due time. Resend, duplicate: a handle
 * that exists already is left as it is. So the second call changes nothing as long as the task has not become due, and the number
 * in the reply shows this. Full server: the script is refused as a whole, because its first write is ZADD.
 */
export const delayScript = defineScript({
  name: 'queue:delay',
  keys: ['stream', 'delayed', 'bodies', 'alive'],
  args: { delayMs: 'number', runAtMs: 'number', inboxes: 'text', timestamp: 'text' },
  rights: ['ZADD', 'HSET'],
  lua: lua`
${NOW}
${DELAY}
if not mayDelay() then return redis.error_reply('WRONGTYPE ' .. delayed .. ' or ' .. bodies .. ' is something else') end
if runAtMs >= 0 then delayMs = math.max(0, runAtMs - now) end
local fresh = 0
for i = rest + 1, #ARGV, 3 do
  if delayTask(stream, ARGV[i], nil, delayMs, { ARGV[i + 1], timestamp, '0', ARGV[i + 2] }) then fresh = fresh + 1 end
end
return fresh`,
  decode: (reply) => reply as number,
});
