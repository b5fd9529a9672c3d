import { FRAME, defineScript, lua } from '../../../redis/index.js';
import { CONSUMER_PREFIX } from '../queue.keys.js';
import { NOW } from './now.fragment.js';

/**
 * Notes that somebody listens to the events of a queue, for a while. If nobody did, every process that works on the queue is told.
 *
 * KEYS  observed, alive
 * ARGV  ttlMs, inboxes (what the names of inboxes begin with)
 * Reply 1: nobody listened before; 0: somebody did
 *
 * Whoever listens repeats it before the time is over. The key decides: a renewal of a lease reads it. The message saves the time until that
 * renewal, and one that the user has no right to send is left out. Crash: the key expires. Resend, duplicate, two listeners: the time
 * begins anew. Reorder: a call that comes late lets processes tell events to nobody for `ttlMs`. Slots: the keys of one queue.
 */
export const observeScript = defineScript({
  name: 'queue:observe',
  keys: ['observed', 'alive'],
  args: { ttlMs: 'number', inboxes: 'text' },
  lua: lua`
${NOW}
${FRAME}
local had = redis.call('EXISTS', observed)
redis.call('SET', observed, '1', 'PX', string.format('%.0f', ttlMs))
if had == 1 then return 0 end
local message = frame('queue:observed', observed)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', alive, '(' .. string.format('%.0f', now), '+inf')) do
  redis.pcall('PUBLISH', inboxes .. string.sub(name, ${CONSUMER_PREFIX.length + 1}), message)
end
return 1`,
  decode: (reply) => reply === 1,
});
