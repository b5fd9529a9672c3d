import { defineScript, lua } from '../../redis/index.js';
import { TOKEN_OF_LUA } from './grant.lua.js';

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
  args: { nonce: 'text', owner: 'text', ttl: 'text' },
  lua: lua`
${TOKEN_OF_LUA}
if not tokenOf(nonce, owner) then return 0 end
redis.call('PEXPIRE', lock, ttl)
redis.call('PEXPIRE', holder, ttl)
return 1
`,
  decode: (reply) => reply === 1,
});
