import { defineFragment, lua } from '../script/fragment.js';
import { LIMIT_MAX, PAST_UNITS, SLOTS, SLOTS_HEAD } from './sliding.fragment.js';

/**
 * `passSlots(packed, size, older, newest, slots)`: the state of slots when so many slots have begun since the newest one, in which nothing
 * was charged. Returns the counters, packed, their sum, and 0.
 */
export const PASSED_SLOTS = defineFragment({
  name: 'passed slots',
  lua: lua`
local function passSlots(packed, size, older, newest, slots)
  if slots > ${SLOTS} then return string.rep('\0', ${SLOTS} * size), 0, 0 end
  for i = 1, slots * size, size do older = older - struct.unpack('<I' .. size, packed, i) end
  packed = string.sub(packed, slots * size + 1) .. struct.pack('<I' .. size, newest)
  if slots > 1 then packed = packed .. string.rep('\0', (slots - 1) * size) end
  -- Of a state that is not ours, the sum may be another one than that of the counters.
  return packed, math.max(0, older) + newest, 0
end
`,
});

/**
 * A sliding window above 64: units are counted per slot of `span / 30`, rounded up to whole µs. Units fit if the sum of the newest
 * slot and of the 30 slots before it leaves room.
 *
 * Why this is never too many: take the last unit that was admitted in a window (x - span, x], at y. The 31 slots that were counted
 * then begin at or before y - span, so all units of the window up to y were in the sum. The price: units leave up to span / 30 late.
 *
 * State: `s` (counters of two bytes, for limits up to 65,535) or `S` (four); born, the width of a slot, the number of the newest slot,
 * the sum of the slots before it, its own units, the 30 counters before it. These counters stay packed. A usual call in the newest
 * slot reads and writes the head only; in a later slot it takes away those that have left. A counter that is full holds the whole
 * limit anyway.
 */
export const COUNTED_SLOTS = defineFragment({
  name: 'slots',
  needs: [PAST_UNITS, PASSED_SLOTS],
  locals: ['now'],
  lua: lua`
local function slotsKind()
  local function counterAt(s, i)
    if i > ${SLOTS} then return s.newest end
    return (struct.unpack('<I' .. s.size, s.packed, (i - 1) * s.size + 1))
  end

  local function convert(s, text, width)
    local counts, instants, units = {}, readPast(s, text)
    if #units > 0 and width ~= s.width then s.born = math.max(s.born, now) end
    for i = 1, ${SLOTS + 1} do counts[i] = 0 end
    for i = 1, #units do
      local at = ${SLOTS + 1} - s.slot + math.min(math.floor(instants[i] / s.width), s.slot)
      if at > 0 then counts[at] = math.min(counts[at] + units[i], s.most) end
    end
    s.older, s.newest = 0, table.remove(counts)
    for i = 1, ${SLOTS} do
      s.older = s.older + counts[i]
      counts[i] = struct.pack('<I' .. s.size, counts[i])
    end
    s.packed = table.concat(counts)
  end

  local function open(s, text)
    local tag, last, width = string.sub(text, 1, 1), nil, nil
    s.size, s.most = 2, 65535
    if s.n > 65535 then s.size, s.most = 4, ${LIMIT_MAX} end
    s.width = math.ceil(s.span / ${SLOTS})
    s.slot = math.floor(now / s.width)
    local ends = ${SLOTS_HEAD} + ${SLOTS} * s.size
    if (tag == 's' or tag == 'S') and #text >= ${SLOTS_HEAD} then
      s.born, width, last, s.older, s.newest = struct.unpack('<ddddd', text, 2)
    end
    local isOurs = width == s.width and last % 1 == 0 and s.older >= 0 and s.newest >= 0
    if isOurs and last <= s.slot and #text >= ends and tag == (s.size == 2 and 's' or 'S') then
      s.packed, s.traces = string.sub(text, ${SLOTS_HEAD + 1}, ends), string.sub(text, ends + 1)
      if last < s.slot then s.packed, s.older, s.newest = passSlots(s.packed, s.size, s.older, s.newest, s.slot - last) end
    else
      s.born = now
      convert(s, text, width)
    end
    s.used = s.older + s.newest
  end

  local function charge(s, units)
    s.newest = math.min(s.newest + units, s.most)
    s.used = s.older + s.newest
  end

  local function refund(s, units, at)
    local first, last = 1, ${SLOTS + 1}
    if at then
      first = ${SLOTS + 1} - s.slot + math.floor(at / s.width)
      last = first
    end
    for i = math.max(first, 1), math.min(last, ${SLOTS + 1}) do
      local count = counterAt(s, i)
      local less = math.min(units, count)
      units = units - less
      if i > ${SLOTS} then s.newest = count - less
      elseif less > 0 then
        local at = (i - 1) * s.size
        local packed = struct.pack('<I' .. s.size, count - less)
        s.packed, s.older = string.sub(s.packed, 1, at) .. packed .. string.sub(s.packed, at + s.size + 1), math.max(0, s.older - less)
      end
    end
    s.used = s.older + s.newest
  end

  local function retry(s, cost)
    local over, i = s.used + cost - s.n, 1
    while i <= ${SLOTS} and over > counterAt(s, i) do over, i = over - counterAt(s, i), i + 1 end
    return (s.slot + i) * s.width - now
  end

  local function lapse(s)
    if s.newest > 0 then return (s.slot + ${SLOTS + 1}) * s.width - now end
    for i = ${SLOTS}, 1, -1 do
      if counterAt(s, i) > 0 then return (s.slot + i) * s.width - now end
    end
    return 0
  end

  local function close(s)
    local tag = s.size == 2 and 's' or 'S'
    return struct.pack('<c1ddddd', tag, s.born, s.width, s.slot, s.older, s.newest) .. s.packed
  end

  return { open = open, charge = charge, refund = refund, retry = retry, lapse = lapse, close = close }
end
`,
});
