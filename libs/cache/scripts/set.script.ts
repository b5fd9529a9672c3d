import { defineScript, lua } from '../../redis/index.js';
import { INVALIDATION_LUA } from './invalidation.fragment.js';
import { LEASE_LUA } from './lease.fragment.js';

/**
 * Stores a value, whatever was there. A load that runs is void, and who waits for it gets this value.
 *
 * KEYS   value, lease, sequence
 * ARGV   channel (of invalidations), key (as users know it), text, ttlMs
 * Reply  'OK'
 *
 * Once it is acknowledged, no load that began before can be stored: its lease is gone, and tokens are never granted twice.
 * Repeated, it writes the same again.
 */
export const setScript = defineScript({
  name: 'cache-set',
  keys: ['value', 'lease', 'sequence'],
  args: { channel: 'text', key: 'text', text: 'text', ttlMs: 'number' },
  lua: lua`
${LEASE_LUA}
${INVALIDATION_LUA}
redis.call('SET', value, text, 'PX', ttlMs)
tellValue(lease, text)
void(lease)
announce(sequence, channel, 'key', key)
return 'OK'
`,
  decode: () => undefined,
});
