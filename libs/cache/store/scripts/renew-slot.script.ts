import { defineScript, lua } from '../../../redis/index.js';
import { NOW } from './epoch.fragment.js';

/**
 * Extends the slot of a loader that runs; one that was lost meanwhile is noted again, because the loader does run.
 *
 * KEYS   slots
 * ARGV   token, leaseMs
 * Reply  'OK'
 *
 * Late or repeated, it extends the slot of a loader that has ended, which then lapses.
 */
export const renewSlotScript = defineScript({
  name: 'cache:renew-slot',
  keys: ['slots'],
  args: { token: 'text', leaseMs: 'number' },
  lua: lua`
${NOW}
redis.call('ZADD', slots, nowMs + leaseMs, token)
redis.call('PEXPIRE', slots, leaseMs)
return 'OK'
`,
  decode: () => undefined,
});
