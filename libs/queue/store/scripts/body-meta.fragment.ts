import { defineFragment, lua } from '../../../redis/index.js';

/** `metaOfBody(body)`: the `meta` in the framed entry of a delayed task; '' if it cannot be read. */
export const BODY_META = defineFragment({
  name: 'body-meta',
  lua: lua`
local function metaOfBody(body)
  local at, value = 1, ''
  for _ = 1, 4 do
    local digits = string.match(body, '^(%d+):', at)
    if not digits then return '' end
    local from = at + #digits + 1
    at = from + tonumber(digits)
    value = string.sub(body, from, at - 1)
  end
  return value
end
`,
});
