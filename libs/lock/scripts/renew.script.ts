import { defineScript, lua } from '../../redis/index.js';

/**
 * Makes a held lock last `ttl` from now: a renewal, an extension (or a shortening), or the claim of a provisional grant.
 *
 * KEYS  lock, holder
 * ARGV  nonce, owner, ttl (ms)
 * Reply 1: done. 0: this acquisition does not hold the lock any more, and never will again.
 *
 * - Never creates anything: what expired stays lost, however late this runs.
 * - Duplicates and reordering only move the expiry; who sends a shorter ttl counts on no more than that from then on.
 */
export const renew = defineScript({
  name: 'lock:renew',
  keys: ['lock', 'holder'],
  args: { nonce: 'text', owner: 'text', ttl: 'number' },
  lua: lua`
if redis.call('GET', lock) ~= owner or redis.call('HGET', holder, 'nonce') ~= nonce then return 0 end
local time = redis.call('TIME')
local at = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + ttl)
redis.call('PEXPIREAT', lock, at)
redis.call('PEXPIREAT', holder, at)
return 1
`,
  decode: (reply) => reply === 1,
});
