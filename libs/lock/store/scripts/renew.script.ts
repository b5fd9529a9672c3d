import { defineScript, lua } from '../../../redis/index.js';
import { LOCK_KEYS } from './acquire.script.js';
import { BESIDE, GRANT, HOLD } from './grant.fragment.js';

/**
 * Makes a held lock last `ttl` from now: a renewal, an extension (or a shortening), or the claim of a provisional grant.
 *
 * KEYS  the lock's
 * ARGV  nonce, ttl (ms), generation (how many extensions were asked for before or by this); then the owner, if it is
 *       not the nonce
 * Reply 1: this acquisition holds the lock. 0: not any more, and it never will again.
 *
 * - The script never creates a key: an expired lock stays lost, however late the script runs.
 * - Reorder: a request that waited in a dead socket's buffer may be executed after an extension that was requested later. The
 *   request has an older generation and changes nothing: it neither shortens a longer lease, on which the holder counts, nor
 *   lengthens a shorter one. Within a generation all requests ask for the same length, so a late request only adds its delay.
 * - The fence is kept for an hour from now as well.
 */
export const renewScript = defineScript({
  name: 'lock:renew',
  keys: LOCK_KEYS,
  args: { nonce: 'text', ttl: 'text', asked: 'number' },
  lua: lua`
local owner = ARGV[rest + 1] or nonce
${BESIDE}
${GRANT}
${HOLD}
if not holds(nonce, owner) then return 0 end
local known = generation(nonce)
if asked < known then return 1 end
redis.call('PEXPIRE', lock, ttl)
if asked > known then note(nonce, owner, int(asked), ttl)
else redis.call('PEXPIRE', beside('holder'), ttl) end
redis.call('PEXPIRE', fence, #ttl < 7 and '3600000' or int(ttl + 3600000))
return 1
`,
  decode: (reply) => reply === 1,
});
