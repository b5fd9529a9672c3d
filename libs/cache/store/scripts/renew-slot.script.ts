import { defineScript, lua } from '../../../redis/index.js';
import { NOW } from './epoch.fragment.js';

/**
 * Extends the slot of a loader that runs. A slot that was lost meanwhile is noted again, because the loader does run.
 *
 * KEYS   slots
 * ARGV   token, leaseMs
 * Reply  'OK'
 *
 * Late or repeated, the script extends the slot of a loader that has ended. That slot then expires.
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
