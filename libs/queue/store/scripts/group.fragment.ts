import { defineFragment, lua } from '../../../redis/index.js';

/**
 * `theGroup(wanted)`: what Redis says about the group `wanted` of `stream`, and how many groups the stream has. If there is only
 * one group, that group is returned under any name, so that operators need not know its name. Nil if there is no such group.
 */
export const GROUP = defineFragment({
  name: 'group',
  locals: ['stream'],
  lua: lua`
local function theGroup(wanted)
  if redis.call('EXISTS', stream) == 0 then return nil, 0 end
  local groups = redis.call('XINFO', 'GROUPS', stream)
  for _, flat in ipairs(groups) do
    local info = {}
    for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
    if #groups == 1 or info.name == wanted then return info, #groups end
  end
  return nil, #groups
end
`,
});
