import { defineScript, lua } from '../../redis/index.js';
import { decodeHolder, type LockHolder } from './acquire.reply.js';
import { LOCK_KEYS } from './acquire.script.js';
import { GRANT_LUA } from './grant.lua.js';
import { HAND_OVER_LUA } from './hand-over.lua.js';

/**
 * Takes a lock away from whoever holds it, tells the holder's process, and hands it to the first live waiter, in one step.
 *
 * KEYS  the lock's five
 * ARGV  before, behind: what stands before and behind a process' id in the name of its inbox
 * Reply nil: it was free. {owner, record}: who held it.
 *
 * - The holder's record goes with the lock, so its renewals and its release find nothing of their own, however late.
 * - The fence stays: the next token is higher, and a resource that looks at it refuses the one who was put out.
 * - The message may be lost or early. It only saves time: the next renewal tells the same; and it names nonce and token, so it
 *   can never end a later grant.
 * - Repeated: it may hit the next holder. So the caller does not repeat it on its own.
 * - A holder of another kind has no inbox: it learns nothing, its next compare-and-delete fails.
 */
export const forceRelease = defineScript({
  name: 'lock:force-release',
  keys: LOCK_KEYS,
  args: { before: 'text', behind: 'text' },
  lua: lua`
${GRANT_LUA}
${HAND_OVER_LUA}
local owner = redis.call('GET', lock)
if not owner then return false end
local record = redis.call('GET', holder)
redis.call('DEL', lock, holder)
local nonce, token, who = string.match(record or '', '^(%S+) (%d+) %d+ (.*)$')
if nonce then redis.call('PUBLISH', before .. who .. behind, frame('lock-forced', nonce, token)) end
settle({})
return { owner, record }
`,
  decode: (reply): LockHolder | undefined => {
    if (reply === null) return undefined;
    const [owner, record] = reply as [string, string | null];
    return decodeHolder(owner, record);
  },
});
