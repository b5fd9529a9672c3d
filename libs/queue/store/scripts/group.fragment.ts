import { lua } from '../../../redis/index.js';

/**
 * `theGroup(wanted)`: what Redis says of a group of `stream`, by name, and how many groups there are. If there is only
 * one, it is that one, whatever it is called: operators need not know. Nothing, if there is none of that name.
 */
export const GROUP_LUA = lua`
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
`;
