import { defineFragment, lua } from '../../../redis/index.js';

/**
 * `carried(others)`: the fields of an entry beside Sluice's own, as names and values in turn, for the task's next entry.
 *
 * Lua passes at most 8,000 values to one call, and a call that fails after XACK would lose the task. So more than 7,000 values
 * are left out (but for the task's ordering key), and the number of these fields is written to `fields_dropped`. Tasks run without these fields.
 */
export const CARRIED = defineFragment({
  name: 'carried',
  lua: lua`
local function carried(others)
  if #others <= 7000 then return others end
  local kept = { 'fields_dropped', tostring(#others / 2) }
  -- Without its key, a task would leave its order, and what waits for it would wait for ever.
  for i = 1, #others, 2 do
    if others[i] == 'ordering_key' then
      kept[3], kept[4] = others[i], others[i + 1]
    end
  end
  return kept
end
`,
});
