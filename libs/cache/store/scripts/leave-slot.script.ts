import { defineScript, lua } from '../../../redis/index.js';
import { SLOT } from './slot.fragment.js';

/**
 * Gives back what a request has at a source: the slot of a loader that has ended, or the place of a request that no longer
 * waits. If a slot is free then, the first waiting request is told to ask again.
 *
 * KEYS   slots, queue
 * ARGV   token, inbox (of this process), limit
 * Reply  'OK'
 *
 * Lost: the slot expires, unless the call is repeated before. Repeated: there is nothing to give back, and one more waiting
 * request asks again.
 */
export const leaveSlotScript = defineScript({
  name: 'cache:leave-slot',
  keys: ['slots', 'queue'],
  args: { token: 'text', inbox: 'text', limit: 'number' },
  lua: lua`
${SLOT}
redis.call('ZREM', slots, token)
redis.call('ZREM', queue, token .. ' ' .. inbox)
if freeSlots() > 0 then wakeQueued(1) end
return 'OK'
`,
  decode: () => undefined,
});
