import { defineFragment, lua } from '../../../redis/index.js';

/**
 * `carried(others)`: the fields of an entry beside Sluice's own, as names and values in turn, for the task's next entry.
 *
 * Lua passes at most 8,000 values to one call, and a call that fails after XACK would lose the task. So more than 7,000 values
 * are left out, and the number of these fields is written to `fields_dropped`. Tasks run without these fields.
 */
export const CARRIED = defineFragment({
  name: 'carried',
  lua: lua`
local function carried(others)
  if #others <= 7000 then return others end
  return { 'fields_dropped', tostring(#others / 2) }
end
`,
});
