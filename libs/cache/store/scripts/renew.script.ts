import { defineScript, lua } from '../../../redis/index.js';
import { CURRENT } from './epoch.fragment.js';
import { LEASE } from './lease.fragment.js';

/**
 * Extends the lease of a load that runs, unless an epoch that the load began in has ended: then its value would not be
 * stored, and the requests that wait for it ask again.
 *
 * KEYS   lease, epoch
 * ARGV   token, leaseMs, tagPrefix
 * Reply  1 extended | 0 void: not this load's own any more, or ended now
 *
 * As much work as the load has tags. Late or repeated, it extends a lease that is its own anyway; another's it never touches.
 */
export const renewScript = defineScript({
  name: 'cache:renew',
  keys: ['lease', 'epoch'],
  args: { token: 'text', leaseMs: 'number', tagPrefix: 'text' },
  lua: lua`
${CURRENT}
${LEASE}
local held = redis.call('HMGET', lease, 'token', 'epoch', 'tags')
if held[1] ~= token then return 0 end
if not current(held[2], held[3]) then
  endLease(lease, 'again', '')
  return 0
end
return redis.call('PEXPIRE', lease, leaseMs)
`,
  decode: (reply) => reply === 1,
});
