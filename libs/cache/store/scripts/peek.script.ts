import { defineScript, lua } from '../../../redis/index.js';
import { parseStored, type StoredValue } from '../stored-value.js';
import { CURRENT, NOW, PARSE } from './epoch.fragment.js';

/**
 * Reads values and nothing else.
 *
 * KEYS   epoch, …values
 * ARGV   tagPrefix
 * Reply  for each value: the value | nil: there is no fresh value of the current epochs
 *
 * The script writes nothing. Repeated, late or reordered, it replies what is there when it runs. A key that holds no string is a
 * miss, and the other keys are read all the same.
 */
export const peekScript = defineScript({
  name: 'cache:peek',
  keys: ['epoch'],
  args: { tagPrefix: 'text' },
  lua: lua`
${NOW}
${CURRENT}
${PARSE}
local found = redis.call('MGET', unpack(KEYS, 2))
for i, stored in ipairs(found) do
  local named, untilMs, _, tags = parse(stored)
  if not (named and untilMs > nowMs and current(named, tags)) then found[i] = false end
end
return found
`,
  decode: (reply) =>
    (reply as (string | null)[]).map((stored): StoredValue | undefined =>
      stored === null ? undefined : parseStored(stored),
    ),
});
