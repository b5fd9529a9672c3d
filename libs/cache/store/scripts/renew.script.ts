import { defineScript, lua } from '../../../redis/index.js';
import { CURRENT } from './epoch.fragment.js';
import { LEASE } from './lease.fragment.js';

/**
 * Extends the lease of a load that runs, unless an epoch that the load began in has ended. Its value would then not be stored, so
 * the lease is ended, and the requests that wait for the value ask again.
 *
 * KEYS   lease, epoch
 * ARGV   token, leaseMs, tagPrefix
 * Reply  1 extended | 0 void: the lease does not belong to this load any more, or was ended now
 *
 * The work is that of the load's tags. Late or repeated, the script extends a lease that belongs to this load anyway. It never
 * changes the lease of another load.
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
