import { defineScript, lua } from '../../redis/index.js';
import { LEASE_LUA } from './lease.fragment.js';

/**
 * Ends a load with its value: stores it and pushes it to who waits, if the lease is still this load's own.
 *
 * KEYS   value, lease
 * ARGV   token, text, ttlMs
 * Reply  1 stored | 0 void: the lease expired, passed on, or was voided by an invalidation; nothing changed
 *
 * Pause, reorder: a load that lost its lease at any time before this step stores nothing. Duplicate: the first removed the
 * lease, the second changes nothing (and says 0).
 */
export const fillScript = defineScript({
  name: 'cache-fill',
  keys: ['value', 'lease'],
  args: { token: 'text', text: 'text', ttlMs: 'number' },
  lua: lua`
${LEASE_LUA}
if redis.call('HGET', lease, 'token') ~= token then return 0 end
redis.call('SET', value, text, 'PX', ttlMs)
tellValue(lease, text)
redis.call('DEL', lease)
return 1
`,
  decode: (reply) => reply === 1,
});
