import { FRAME, defineScript, lua } from '../../../redis/index.js';
import { NONCE_PATTERN } from '../owner.js';
import type { LockHolder } from '../../lock.inspection.js';
import { decodeHolder, type HolderReply } from './acquire.reply.js';
import { LOCK_KEYS } from './acquire.script.js';
import { BESIDE } from './grant.fragment.js';
import { HAND_OVER } from './hand-over.fragment.js';
import { LOCK_USES } from './uses.fragment.js';

/**
 * Takes a lock away from its holder, tells the holder's process, and hands the lock to the first live waiter, in one step.
 *
 * KEYS  the lock's
 * ARGV  inboxes: what the names of inboxes begin with; a process' id follows
 * Reply nil: it was free. {owner, fence, record}: its holder until now.
 *
 * - Later renewals and a later release of the former holder change nothing, because it does not hold the lock any more.
 * - The fence stays: the next token is higher, so a resource that compares tokens refuses the former holder.
 * - The message may be lost or early, or the user may have no right to send it. The message only saves time, because the next
 *   renewal tells the same. The message names nonce and token, so it can never end a later grant.
 * - Repeat: a second call may take the lock away from the next holder. So the caller does not repeat the script by itself.
 * - Newer data: refused. What holds the lock may be of another kind.
 * - Another kind of client has no inbox, and gets no message. Its next compare-and-delete fails.
 */
export const forceReleaseScript = defineScript({
  name: 'lock:force-release',
  keys: LOCK_KEYS,
  args: { inboxes: 'text' },
  lua: lua`
${FRAME}
${BESIDE}
${HAND_OVER}
${LOCK_USES}
local refused = newerData(beside('uses'))
if refused then return refused end
local owner = redis.call('GET', lock)
if not owner then return false end
local token, record = redis.call('GET', fence), redis.call('GET', beside('holder'))
redis.call('DEL', lock, beside('holder'))
local nonce, named = string.match(record or '', '^(%S+) %d+%S* (.*)$')
if named ~= owner then nonce = owner end
local process = string.match(nonce, '${NONCE_PATTERN}')
if process and token then redis.pcall('PUBLISH', inboxes .. process, frame('lock:forced', nonce, token)) end
settle({})
return { owner, token, record }
`,
  decode: (reply): LockHolder | undefined => {
    if (reply === null) return undefined;
    return decodeHolder(...(reply as HolderReply));
  },
});
