import { defineScript, lua } from '../../../redis/index.js';
import { HEADER_LUA, MINT_LUA, NOW_LUA } from './epoch.fragment.js';
import { INVALIDATION_LUA } from './invalidation.fragment.js';
import { LEASE_LUA } from './lease.fragment.js';

/**
 * Stores a value, whatever was there. A load that runs is void, and who waits for it gets this value.
 *
 * KEYS   value, lease, sequence, epoch
 * ARGV   channel (of invalidations), entry, token (of this request alone), text, ttlMs, staleMs, tagPrefix, …tags
 * Reply  the server's ms
 *
 * Once it is acknowledged, no load that began before can be stored: its lease is gone, and tokens are never granted twice.
 * Repeated, it writes the same again.
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
${NOW_LUA}
local keepMs = ttlMs + staleMs
${MINT_LUA}
${HEADER_LUA}
${LEASE_LUA}
${INVALIDATION_LUA}
local tags = {}
for i = rest + 1, #ARGV do tags[i - rest] = ' ' .. ARGV[i] .. '=' .. mint(tagPrefix .. ARGV[i]) end
local stored = header(mint(epoch), nowMs + ttlMs, 0, table.concat(tags)) .. text
redis.call('SET', value, stored, 'PX', ttlMs + staleMs)
tellValue(lease, stored)
void(lease)
announce(sequence, channel, 'key', entry)
return nowMs
`,
  decode: Number,
});
