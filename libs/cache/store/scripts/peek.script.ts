import { defineScript, lua } from '../../../redis/index.js';
import { parseStored, type StoredValue } from '../stored-value.js';
import { CURRENT, NOW, PARSE } from './epoch.fragment.js';

/**
 * Reads a value and nothing else.
 *
 * KEYS   value, epoch
 * ARGV   tagPrefix
 * Reply  the value | nil: there is none that is fresh and of the epochs of now
 */
export const peekScript = defineScript({
  name: 'cache:peek',
  keys: ['value', 'epoch'],
  args: { tagPrefix: 'text' },
  lua: lua`
${NOW}
${CURRENT}
${PARSE}
local stored = redis.call('GET', value)
if not stored then return nil end
local named, untilMs, _, tags = parse(stored)
if named and untilMs > nowMs and current(named, tags) then return stored end
return nil
`,
  decode: (reply): StoredValue | undefined => (reply === null ? undefined : parseStored(reply as string)),
});
