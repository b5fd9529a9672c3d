import { defineScript, lua } from '../../redis/index.js';
import { decodeHolder, type LockHolder } from './acquire.reply.js';
import { LOCK_KEYS } from './acquire.script.js';
import { GRANT_LUA, TOKEN_OF_LUA } from './grant.lua.js';
import { HAND_OVER_LUA } from './hand-over.lua.js';

export type Released = { released: true } | { released: false; holder: LockHolder | undefined };

/**
 * Lets go of whatever an acquisition has: the lock, which goes to the first live waiter in the same step (it is never
 * free while one lives); or its place in the queue.
 *
 * KEYS  the lock's five
 * ARGV  nonce, owner
 * Reply {1}: it held the lock. {0, owner, record}: it did not; who does.
 *
 * - Only the holder's own nonce releases, so a late or repeated release, or one after an expiry, never touches the next
 *   owner's lock: it may be repeated until an answer comes.
 * - A waiter that gives up while it is being granted: whichever came first, after this it has nothing.
 */
export const release = defineScript({
  name: 'lock:release',
  keys: LOCK_KEYS,
  args: { nonce: 'text', owner: 'text' },
  lua: lua`
${TOKEN_OF_LUA}
if tokenOf(nonce, owner) then
  redis.call('DEL', lock, holder)
  if redis.call('EXISTS', queue) == 0 then return { 1 } end
${GRANT_LUA}
${HAND_OVER_LUA}
  settle({})
  return { 1 }
end
redis.call('ZREM', queue, nonce)
redis.call('HDEL', waiters, nonce)
return { 0, redis.call('GET', lock), redis.call('GET', holder) }
`,
  decode: (reply): Released => {
    const answer = reply as [1] | [0, string | null, string | null];
    if (answer[0] === 1) return { released: true };
    return { released: false, holder: decodeHolder(answer[1], answer[2]) };
  },
});
