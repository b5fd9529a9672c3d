import { defineScript, lua } from '../../../redis/index.js';
import { HEADER, MINT, NOW } from './epoch.fragment.js';
import { INVALIDATION } from './invalidation.fragment.js';
import { LEASE } from './lease.fragment.js';

/**
 * Stores a value in place of any other. A load that runs is void, and the requests that wait for it get this value.
 *
 * KEYS   value, lease, sequence, epoch
 * ARGV   channel (of invalidations)
 *        entry
 *        token (of this request alone)
 *        text
 *        ttlMs
 *        staleMs
 *        tagPrefix
 *        …tags
 * Reply  the server's ms
 *
 * Once the script is acknowledged, no load that began before can be stored: its lease is gone, and tokens are never granted
 * twice. Repeated, the script writes the same again.
 */
export const setScript = defineScript({
  name: 'cache:set',
  keys: ['value', 'lease', 'sequence', 'epoch'],
  args: {
    channel: 'text',
    entry: 'text',
    token: 'text',
    text: 'text',
    ttlMs: 'number',
    staleMs: 'number',
    tagPrefix: 'text',
  },
  lua: lua`
${NOW}
${MINT}
${HEADER}
${LEASE}
${INVALIDATION}
local keepMs = ttlMs + staleMs
local tags = {}
for i = rest + 1, #ARGV do tags[i - rest] = ' ' .. ARGV[i] .. '=' .. mint(tagPrefix .. ARGV[i], keepMs) end
local stored = header(mint(epoch, keepMs), nowMs + ttlMs, 0, table.concat(tags)) .. text
redis.call('SET', value, stored, 'PX', keepMs)
endLeaseWithValue(lease, stored, true)
announce(sequence, channel, 'key', entry)
return nowMs
`,
  decode: Number,
});
