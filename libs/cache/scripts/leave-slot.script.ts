import { FRAME_LUA, defineScript, lua } from '../../redis/index.js';
import { NOW_LUA } from './epoch.fragment.js';
import { SLOT_LUA } from './slot.fragment.js';

/**
 * Gives back the slot of a loader that has ended; the first of those who wait is told to ask again.
 *
 * KEYS   slots, queue
 * ARGV   token, limit
 * Reply  'OK'
 *
 * Lost: the slot lapses. Repeated: there is none to give back; one more asks again.
 */
export const leaveSlotScript = defineScript({
  name: 'cache-leave-slot',
  keys: ['slots', 'queue'],
  args: { token: 'text', limit: 'number' },
  lua: lua`
${NOW_LUA}
${FRAME_LUA}
${SLOT_LUA}
redis.call('ZREM', slots, token)
if freeSlots() > 0 then wakeQueued(1) end
return 'OK'
`,
  decode: () => undefined,
});
