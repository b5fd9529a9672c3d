import { defineFragment, lua } from '../script/fragment.js';

/** Up to this limit, a sliding window keeps the instant of each unit. Above it, units are counted in slots. */
export const RING_MAX = 64;

/** A window is cut into so many slots. One more than these is counted, because a window may begin inside a slot. */
export const SLOTS = 30;

/** The largest limit: what a counter of four bytes holds. */
export const LIMIT_MAX = 4_294_967_295;

/** Bytes before the instants of a ring, and before the counters of slots. */
export const RING_HEAD = 19;
export const SLOTS_HEAD = 41;

/**
 * Sliding window: **never more than `n` units in any window of `span` µs, by the server's clock.** It has two forms: a ring of
 * instants (`RING`) up to a limit of 64, and counters of slots (`COUNTED_SLOTS`) above it.
 *
 * `readPast(s, text)` reads a state that its form cannot go on with as it is: a state of the other form, of another length or size of
 * counters, or from the future of a clock that was set back. It sets `born`, `traces` and `stepped`, and returns two lists: the
 * youngest instant at which units may have been charged, oldest first, and their number.
 *
 * - Each unit is taken to be as young as it may be. Units of before another configuration cannot be given back one by one any more:
 *   the two forms set `born` to now.
 * - A clock that was set back: units of the future count as units of now. `born` moves behind them, so that no refund of a unit of
 *   before takes away another one.
 * - A value of another kind is taken for no state.
 */
export const PAST_UNITS = defineFragment({
  name: 'past units',
  locals: ['now'],
  lua: lua`
local function readPast(s, text)
  local tag, instants, units, oldest = string.sub(text, 1, 1), {}, {}, nil
  if tag == 'r' and #text > ${RING_HEAD} then
    local born, base, count = struct.unpack('<ddH', text, 2)
    local ends = ${RING_HEAD} + 4 * count
    if count == 0 or #text < ends then return instants, units end
    s.born, s.traces = born, string.sub(text, ends + 1)
    for i = 1, count do
      instants[i], units[i] = (base + struct.unpack('<I4', text, ${RING_HEAD} - 3 + 4 * i)) * 1000, 1
    end
    oldest = instants[count] - 999
  elseif tag == 's' or tag == 'S' then
    local size = tag == 's' and 2 or 4
    local ends = ${SLOTS_HEAD} + ${SLOTS} * size
    if #text < ends then return instants, units end
    local born, width, last, _, newest = struct.unpack('<ddddd', text, 2)
    if not (newest >= 0) then return instants, units end
    s.born, s.traces = born, string.sub(text, ends + 1)
    for i = 1, ${SLOTS + 1} do
      instants[i] = (last - ${SLOTS} + i) * width - 1
      units[i] = i > ${SLOTS} and math.ceil(newest) or struct.unpack('<I' .. size, text, ${SLOTS_HEAD + 1} + (i - 1) * size)
    end
    oldest = last * width
  end
  if oldest and oldest > now then s.stepped, s.born = true, math.max(s.born, instants[#instants] + 1) end
  return instants, units
end
`,
});
