import { defineScript, lua } from '../../../redis/index.js';
import { LEASE } from './lease.fragment.js';

/**
 * Ends a load with an error. Requests that wait get the error, and so do requests that come during the back-off.
 *
 * KEYS   lease
 * ARGV   token, failure (JSON), backoffMs (0: the next request loads)
 * Reply  1 noted | 0 void: the lease does not belong to this load any more; nothing changed
 *
 * Pause, reorder: fenced by the token, as a fill is. Duplicate: the first call removed the token.
 */
export const failScript = defineScript({
  name: 'cache:fail',
  keys: ['lease'],
  args: { token: 'text', failure: 'text', backoffMs: 'number' },
  lua: lua`
${LEASE}
if redis.call('HGET', lease, 'token') ~= token then return 0 end
endLease(lease, 'error', failure)
if backoffMs > 0 then
  redis.call('HSET', lease, 'error', failure)
  redis.call('PEXPIRE', lease, backoffMs)
end
return 1
`,
  decode: (reply) => reply === 1,
});
