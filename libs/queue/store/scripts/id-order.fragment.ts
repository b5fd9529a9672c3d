import { defineFragment, lua } from '../../../redis/index.js';

/** `isBefore(a, b)`: whether the entry's id `a` is lower than `b`. */
export const ID_ORDER = defineFragment({
  name: 'id-order',
  lua: lua`
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-?(%d*)$')
  return tonumber(ms), tonumber(seq) or 0
end
local function isBefore(a, b)
  local ams, aseq = parts(a)
  local bms, bseq = parts(b)
  return ams < bms or (ams == bms and aseq < bseq)
end
`,
});
