import { defineScript, lua } from '../../redis/index.js';
import { INVALIDATION_LUA } from './invalidation.fragment.js';
import { LEASE_LUA } from './lease.fragment.js';

/**
 * Removes a value. A load that runs is void, an error's back-off ends, and who waits asks again.
 *
 * KEYS   value, lease, sequence
 * ARGV   channel (of invalidations), key (as users know it)
 * Reply  1 there was a value | 0 there was none
 *
 * Once it is acknowledged, no load that began before can be stored: its lease is gone, and tokens are never granted twice.
 * Repeated, it may void one more load, which costs a load and nothing else.
 */
export const deleteScript = defineScript({
  name: 'cache-delete',
  keys: ['value', 'lease', 'sequence'],
  args: { channel: 'text', key: 'text' },
  lua: lua`
${LEASE_LUA}
${INVALIDATION_LUA}
announce(sequence, channel, 'key', key)
tell(lease, 'again', '')
void(lease)
return redis.call('UNLINK', value)
`,
  decode: (reply) => reply === 1,
});
