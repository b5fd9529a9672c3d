import { defineScript, lua } from '../../../redis/index.js';
import { parseStored, type StoredValue } from '../stored-value.js';
import { CURRENT, NOW, PARSE } from './epoch.fragment.js';
import { INVALIDATION } from './invalidation.fragment.js';

/**
 * Reads a value and removes it, in one step: no two calls get the same value.
 *
 * KEYS   value, sequence, epoch
 * ARGV   channel (of invalidations), entry, tagPrefix
 * Reply  the value | nil: there is no fresh value of the current epochs; nothing changed
 *
 * - Crash, lost reply: the value is gone, and no caller has it.
 * - Duplicate: the second call finds nothing.
 * - Pause, reorder: each value goes to the call that runs first.
 *
 * A load that runs goes on, because it stores a new value. A call that finds nothing writes nothing, so guesses of keys cost no
 * messages. The script works while Redis is full, because it frees memory before it writes. Without the right to publish to the
 * channel it takes nothing, because the removal of the value could not be announced.
 */
export const takeScript = defineScript({
  name: 'cache:take',
  keys: ['value', 'sequence', 'epoch'],
  args: { channel: 'text', entry: 'text', tagPrefix: 'text' },
  lua: lua`
${NOW}
${INVALIDATION}
${CURRENT}
${PARSE}
local stored = redis.call('GET', value)
if not stored then return nil end
local named, untilMs, _, tags = parse(stored)
if not named or untilMs <= nowMs or not current(named, tags) then return nil end
if redis.acl_check_cmd and not redis.acl_check_cmd('PUBLISH', channel, '') then
  return redis.error_reply('NOPERM no right to publish to ' .. channel)
end
redis.call('UNLINK', value)
announce(sequence, channel, 'key', entry)
return stored
`,
  decode: (reply): StoredValue | undefined => (reply === null ? undefined : parseStored(reply as string)),
});
