import { defineScript, lua } from '../../../redis/index.js';
import { CURRENT, HEADER, MINT, NOW } from './epoch.fragment.js';
import { LEASE } from './lease.fragment.js';

/**
 * Ends a load with its value: stores the value and pushes it to the requests that wait, if the lease still belongs to this
 * load and no epoch that the load began in has ended.
 *
 * KEYS   value, lease, epoch, recent
 * ARGV token, text, ttlMs, staleMs, loadMs (how long the load took), share (1: pushed, not stored), tagPrefix, …tags that
 *       only the result names
 * Reply  the server's ms: stored | 0 void: the lease expired, passed on, or was voided by an invalidation; nothing was stored
 *
 * Tags of the result had no epoch at the grant that could be compared. For them, `recent` must be the same as then (what it
 * knew was not lost), not trimmed past the grant, and know of no invalidation since.
 *
 * Pause, reorder: a load that lost its lease at any time before this step stores nothing. Duplicate: the first removed the
 * lease, the second changes nothing (and says 0).
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
