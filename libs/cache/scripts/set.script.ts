import { defineScript, lua } from '../../redis/index.js';
import { LEASE_LUA } from './lease.fragment.js';

/**
 * Stores a value, whatever was there. A load that runs is void, and who waits for it gets this value.
 *
 * KEYS   value, lease
 * ARGV   text, ttlMs
 * Reply  'OK'
 *
 * Once it is acknowledged, no load that began before can be stored: its lease is gone, and tokens are never granted twice.
 * Repeated, it writes the same again.
 */
export const setScript = defineScript({
  name: 'cache-set',
  keys: ['value', 'lease'],
  args: { text: 'text', ttlMs: 'number' },
  lua: lua`
${LEASE_LUA}
redis.call('SET', value, text, 'PX', ttlMs)
tellValue(lease, text)
void(lease)
return 'OK'
`,
  decode: () => undefined,
});
