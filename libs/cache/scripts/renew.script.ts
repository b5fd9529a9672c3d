import { defineScript, lua } from '../../redis/index.js';

/**
 * Extends the lease of a load that runs.
 *
 * KEYS   lease
 * ARGV   token, leaseMs
 * Reply  1 extended | 0 void: not this load's own any more; nothing changed
 *
 * Late or repeated, it extends a lease that is its own anyway; another's it never touches.
 */
export const renewScript = defineScript({
  name: 'cache-renew',
  keys: ['lease'],
  args: { token: 'text', leaseMs: 'number' },
  lua: lua`
if redis.call('HGET', lease, 'token') ~= token then return 0 end
return redis.call('PEXPIRE', lease, leaseMs)
`,
  decode: (reply) => reply === 1,
});
