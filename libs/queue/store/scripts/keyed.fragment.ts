import { defineFragment, lua } from '../../../redis/index.js';
import { KEY_FIELD } from './gates.fragment.js';

/** `keyed(key)`: the further fields of the entry of a task with that ordering key; none if it is empty. */
export const KEYED = defineFragment({
  name: 'keyed',
  lua: lua`
local function keyed(key)
  return key == '' and {} or { '${KEY_FIELD}', key }
end
`,
});
