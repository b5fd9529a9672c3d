import { defineFragment, lua } from '../../../redis/index.js';

/** `isOf(key, kind)`: whether a key is of that type, or does not exist. */
export const IS_OF = defineFragment({
  name: 'is-of',
  lua: lua`
local function isOf(key, kind)
  local is = redis.call('TYPE', key).ok
  return is == kind or is == 'none'
end
`,
});
