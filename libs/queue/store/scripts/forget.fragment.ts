import { defineFragment, lua } from '../../../redis/index.js';

/**
 * `forget(…ids)`: deletes settled entries. They stay while the stream has a second group, which may not have run them yet. They
 * also stay if the only group is another one: ours was destroyed, and the other may not have seen them yet.
 */
export const FORGET = defineFragment({
  name: 'forget',
  locals: ['stream', 'group'],
  lua: lua`
local function forget(...)
  local groups = redis.call('XINFO', 'GROUPS', stream)
  if #groups == 1 and groups[1][2] == group then redis.call('XDEL', stream, ...) end
end
`,
});
