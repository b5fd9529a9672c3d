import { defineScript, lua } from '../../../redis/index.js';
import { LEASE } from './lease.fragment.js';

/**
 * Gives a lease back without a value. The requests that wait ask again, and one of them gets the lease.
 *
 * KEYS   lease
 * ARGV   token
 * Reply  1 given back | 0 the lease did not belong to this request; nothing changed
 *
 * Late or repeated: fenced by the token.
 */
export const releaseScript = defineScript({
  name: 'cache:release',
  keys: ['lease'],
  args: { token: 'text' },
  lua: lua`
${LEASE}
if redis.call('HGET', lease, 'token') ~= token then return 0 end
endLease(lease, 'again', '')
return 1
`,
  decode: (reply) => reply === 1,
});
