import { defineFragment, lua } from '../../../redis/index.js';
import { NAME_MAX_BYTES } from '../../../weave/index.js';

/**
 * `idIn(meta)`: the task's id in an entry's `meta`, or nil. `meta` is parsed as JSON, as in a worker, because the `meta` of other
 * producers may contain ids of other things.
 */
export const ID_IN = defineFragment({
  name: 'id-in',
  lua: lua`
local function idIn(meta)
  if not string.find(meta, '"id"', 1, true) then return nil end
  local isJson, object = pcall(cjson.decode, meta)
  local id = isJson and type(object) == 'table' and object.id
  return type(id) == 'string' and id ~= '' and #id <= ${NAME_MAX_BYTES} and id or nil
end
`,
});
