import { defineScript, lua } from '../../../redis/index.js';
import { INVALIDATION } from './invalidation.fragment.js';

/**
 * Ends the epoch of everything: every value is gone, every load that runs is void.
 *
 * KEYS   epoch, sequence
 * ARGV   channel (of invalidations)
 * Reply  'OK'
 *
 * The script deletes one key, whatever the number of values. The values stay in memory until they expire or are replaced.
 * Repeated, the script ends one more epoch, which costs loads.
 */
export const clearScript = defineScript({
  name: 'cache:clear',
  keys: ['epoch', 'sequence'],
  args: { channel: 'text' },
  lua: lua`
${INVALIDATION}
redis.call('DEL', epoch)
announce(sequence, channel, 'all')
return 'OK'
`,
  decode: () => undefined,
});
