import { defineScript, lua } from '../../../redis/index.js';
import { LOCK_KEYS } from './acquire.script.js';
import { HOLD } from './grant.fragment.js';

/**
 * Begins the run of a tick that was granted: marks its instant as done, and makes the lease full. A run begins only after
 * the reply 1.
 *
 * KEYS  the lock's; tick: see `acquire-tick`
 * ARGV  nonce, ttl (ms); then the owner, if it is not the nonce
 * Reply 1: the run may begin. 0: the grant has ended, and another acquisition may have taken the instant.
 *
 * - Duplicate, resend: the same answer while the lock is held. After an extension, the script does not change the longer lease.
 * - Late: once the grant has ended, the script finds another holder or another mark, and changes nothing.
 * - Crash, or a lost answer without another call: this tick does not run. At most once is more important than at least once.
 */
export const beginTickScript = defineScript({
  name: 'lock:begin-tick',
  keys: [...LOCK_KEYS, 'tick'],
  args: { nonce: 'text', ttl: 'text' },
  lua: lua`
local owner = ARGV[rest + 1] or nonce
${HOLD}
local marked, by = string.match(redis.call('GET', tick) or '', '^(%d+) %a+ (.*)$')
if by ~= nonce or not holds(nonce, owner) then return 0 end
redis.call('SET', tick, marked .. ' begun ' .. nonce, 'KEEPTTL')
resume(nonce, ttl, '0')
return 1
`,
  decode: (reply) => reply === 1,
});
