import { FRAME, defineScript, lua } from '../../../redis/index.js';
import { CONSUMER_PREFIX } from '../queue.keys.js';
import { NOW } from './now.fragment.js';

export interface PauseSet {
  /** False: the queue was paused already, or, for a resume, was not paused. */
  readonly changed: boolean;
  /** The consumers that hold a lease now. */
  readonly living: readonly string[];
}

/**
 * Pauses or resumes a queue, and tells every process that works on it.
 *
 * KEYS  paused, alive
 * ARGV  on (1 or 0), inboxes (what the names of inboxes begin with), replyTo (the inbox that the processes confirm a
 *       pause to), token (of this call)
 * Reply {@link PauseSet}
 *
 * The key decides, and lasts. A message only saves the time until the next renewal of a lease, which reads the key. If a message
 * about a pause arrives after the resume, it is valid only until that renewal, so the order does not matter. A message that the
 * user has no right to send is left out. Repeat: changes nothing, and sends the messages again.
 */
export const pauseScript = defineScript({
  name: 'queue:pause',
  keys: ['paused', 'alive'],
  args: { on: 'number', inboxes: 'text', replyTo: 'text', token: 'text' },
  lua: lua`
${NOW}
${FRAME}
local was = redis.call('EXISTS', paused)
if on == 1 and was == 0 then redis.call('SET', paused, string.format('%.0f', now)) end
if on == 0 then redis.call('DEL', paused) end
local message = frame('queue:paused', paused, tostring(on), replyTo, token)
local living = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', alive, '(' .. string.format('%.0f', now), '+inf')) do
  living[#living + 1] = name
  redis.pcall('PUBLISH', inboxes .. string.sub(name, ${CONSUMER_PREFIX.length + 1}), message)
end
return { was ~= on and 1 or 0, living }`,
  decode: (reply): PauseSet => {
    const [changed, living] = reply as [number, string[]];
    return { changed: changed === 1, living };
  },
});
