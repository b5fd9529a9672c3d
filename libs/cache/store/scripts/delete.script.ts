import { defineScript, lua } from '../../../redis/index.js';
import { CURRENT, PARSE } from './epoch.fragment.js';
import { INVALIDATION } from './invalidation.fragment.js';
import { LEASE } from './lease.fragment.js';

/**
 * Removes a value. A load that runs is void, the back-off of an error ends, and the requests that wait ask again.
 *
 * KEYS   value, lease, sequence, epoch
 * ARGV   channel (of invalidations), entry, tagPrefix
 * Reply  1 there was a value | 0 there was no value, or it was invalidated before
 *
 * Once the script is acknowledged, no load that began before can be stored: its lease is gone, and tokens are never granted
 * twice. Repeated, the script may void one more load, which costs a load and nothing else. The script works while Redis is full,
 * because it frees memory before it writes.
 */
export const deleteScript = defineScript({
  name: 'cache:delete',
  keys: ['value', 'lease', 'sequence', 'epoch'],
  args: { channel: 'text', entry: 'text', tagPrefix: 'text' },
  lua: lua`
${LEASE}
${INVALIDATION}
${CURRENT}
${PARSE}
local stored = redis.call('GET', value)
local named, _, _, tags = parse(stored)
local existed = named and current(named, tags)
redis.call('UNLINK', value)
endLease(lease, 'again', '', true)
announce(sequence, channel, 'key', entry)
return existed and 1 or 0
`,
  decode: (reply) => reply === 1,
});
