import { defineScript, lua } from '../../../redis/index.js';
import { CURRENT, HEADER, MINT, NOW } from './epoch.fragment.js';
import { LEASE } from './lease.fragment.js';

/**
 * Ends a load with its value: stores the value and pushes it to the requests that wait, if the lease still belongs to this
 * load and no epoch that the load began in has ended.
 *
 * KEYS   value, lease, epoch, recent
 * ARGV   token
 *        text
 *        ttlMs
 *        staleMs
 *        loadMs (how long the load took)
 *        share (1: the value is pushed, and not stored)
 *        tagPrefix
 *        …tags (those that only the result names)
 * Reply  the server's ms: stored (with share: only pushed)
 *        | 0 void: the lease expired, went to another request, or was voided by an invalidation; nothing was stored
 *
 * For the tags that only the result names, the lease has no epoch from the time of the grant to compare. For these tags, `recent`
 * must fulfil three conditions:
 * - It is the same as at the grant, so nothing that it knew was lost.
 * - It was not trimmed past the grant.
 * - It knows of no invalidation of these tags since the grant.
 *
 * Pause, reorder: a load that lost its lease at any time before this step stores nothing. Duplicate: the first call removed the
 * lease, so the second call changes nothing and replies 0.
 */
export const fillScript = defineScript({
  name: 'cache:fill',
  keys: ['value', 'lease', 'epoch', 'recent'],
  args: {
    token: 'text',
    text: 'text',
    ttlMs: 'number',
    staleMs: 'number',
    loadMs: 'number',
    share: 'number',
    tagPrefix: 'text',
  },
  lua: lua`
${NOW}
${CURRENT}
${MINT}
${HEADER}
${LEASE}
local held = redis.call('HMGET', lease, 'token', 'epoch', 'tags', 'late')
if held[1] ~= token then return 0 end
local keepMs = ttlMs + staleMs

local function unknownSince(late)
  local guard, since = string.match(late, '^(%S+) (%d+)$')
  if not guard then return true end
  local known = redis.call('ZRANGE', recent, 0, 0, 'WITHSCORES')
  if known[1] ~= guard or tonumber(known[2]) > tonumber(since) then return true end
  for i = rest + 1, #ARGV do
    local at = redis.call('ZSCORE', recent, ARGV[i])
    if at and tonumber(at) > tonumber(since) then return true end
  end
  return false
end

if not current(held[2], held[3]) or (#ARGV > rest and (not held[4] or unknownSince(held[4]))) then
  endLease(lease, 'again', '')
  return 0
end
local tags = { held[3] }
for i = rest + 1, #ARGV do tags[#tags + 1] = ' ' .. ARGV[i] .. '=' .. mint(tagPrefix .. ARGV[i], keepMs) end
local stored = header(held[2], nowMs + ttlMs, loadMs, table.concat(tags)) .. text
if share == 0 then redis.call('SET', value, stored, 'PX', keepMs) end
endLeaseWithValue(lease, stored)
return nowMs
`,
  decode: Number,
});
