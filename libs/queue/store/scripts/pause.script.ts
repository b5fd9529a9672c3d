import { FRAME_LUA, defineScript, lua } from '../../../redis/index.js';
import { CONSUMER_PREFIX } from '../queue.keys.js';
import { NOW_LUA } from './fragments.js';

/**
 * Pauses a queue, or lets it go on, and tells every process that works on it to look.
 *
 * KEYS stream, paused, alive · ARGV on (1 or 0), inboxes (what the names of inboxes begin with) · returns 1 if that
 * changed anything.
 *
 * The key is the truth, and lasts; a message only saves the time until the next renewal of a lease, which reads it.
 * Messages carry no state, so their order does not matter. Repeat: changes nothing, tells again.
 */
export const pauseScript = defineScript({
  name: 'queue:pause',
  keys: ['stream', 'paused', 'alive'],
  args: { on: 'number', inboxes: 'text' },
  lua: lua`
${NOW_LUA}${FRAME_LUA}
local was = redis.call('EXISTS', paused)
if on == 1 and was == 0 then redis.call('SET', paused, string.format('%.0f', now)) end
if on == 0 then redis.call('DEL', paused) end
local message = frame('queue:paused', stream)
for _, name in ipairs(redis.call('ZRANGE', alive, 0, -1)) do
  redis.call('PUBLISH', inboxes .. string.sub(name, ${CONSUMER_PREFIX.length + 1}), message)
end
return was ~= on and 1 or 0`,
  decode: (reply) => reply === 1,
});
