import { defineFragment, lua } from '../../../redis/index.js';

/**
 * `forget(…ids)`: deletes settled entries, and returns whether it did. The entries stay while the stream has a second group,
 * which may not have run them yet. The entries also stay if the only group is another one: then `group` was destroyed, and the
 * other group may not have seen them yet.
 */
export const FORGET = defineFragment({
  name: 'forget',
  locals: ['stream', 'group'],
  lua: lua`
local function forget(...)
  local groups = redis.call('XINFO', 'GROUPS', stream)
  if #groups ~= 1 or groups[1][2] ~= group then return false end
  redis.call('XDEL', stream, ...)
  return true
end
`,
});
