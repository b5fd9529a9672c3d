import { defineFragment, lua } from '../script/fragment.js';

/** Up to this limit, a sliding window keeps the instant of each unit. Above it, units are counted in slots. */
export const RING_MAX = 64;

/** A window is cut into so many slots. One more than these is counted, because a window may begin inside a slot. */
export const SLOTS = 30;

/** The largest limit: what a counter of four bytes holds. */
export const LIMIT_MAX = 4_294_967_295;

const COUNTERS = SLOTS + 1;
/** Counters of two bytes, for limits up to 65,535, and of four. A counter that is full holds the whole limit anyway. */
const NARROW = `'<${'H'.repeat(COUNTERS)}'`;
const WIDE = `'<${'I4'.repeat(COUNTERS)}'`;

/**
 * Sliding window: **never more than `n` units in any window of `span` µs, by the server's clock.**
 *
 * - A limit of at most 64 keeps the instants of the last `n` units, in ms, rounded up: `r`, born, the first instant, their number,
 *   offsets of four bytes. Units fit if those in (now - span, now] leave room. The instant is rounded up, so no unit leaves early.
 * - A larger limit counts units per slot of `span / 30`, rounded up to whole µs: `s` or `S`, born, the slot's width, the number of
 *   the newest slot, 31 counters of two or four bytes. Units fit if the sum of all 31 slots leaves room.
 *   Why this is never too many: take the last unit that was admitted in a window (x - span, x], at y. The 31 slots that were
 *   counted then begin at or before y - span, so all units of the window up to y were in the sum. The price: units leave up to
 *   span / 30 late.
 * - Another limit or length than that of the state, also across these two forms: each unit is taken to be as young as it may be,
 *   and units of before cannot be given back one by one any more (`born`).
 * - A clock that was set back: units of the future count as units of now. `born` moves behind them, so that no refund of a unit of
 *   before takes away another one.
 */
export const SLIDING = defineFragment({
  name: 'sliding',
  locals: ['now'],
  lua: lua`
local function openSliding(s, text)
  local tag, stampNow = string.sub(text, 1, 1), math.ceil(now / 1000)
  local born, width, last, past, at = now
  if tag == 'r' then
    born, last, width, at = struct.unpack('<ddH', text, 2)
    past = { struct.unpack('<' .. string.rep('I4', width), text, at) }
    at = table.remove(past)
    for i = 1, #past do past[i] = last + past[i] end
    last = past[#past]
    if last > stampNow then s.stepped, born = true, math.max(born, last * 1000 + 1) end
  elseif tag == 's' or tag == 'S' then
    born, width, last = struct.unpack('<ddd', text, 2)
    past = { struct.unpack(tag == 's' and ${NARROW} or ${WIDE}, text, 26) }
    at = table.remove(past)
    if last > math.floor(now / width) then s.stepped, born = true, math.max(born, (last + 1) * width) end
  else
    past = {}
  end
  s.traces = at and string.sub(text, at) or ''
  if s.n <= ${RING_MAX} then
    if tag == 's' or tag == 'S' then
      born = math.max(born, now)
      local stamps = {}
      for i = 1, ${COUNTERS} do
        local stamp = math.ceil((last - ${COUNTERS - 1} + i) * width / 1000)
        for _ = 1, math.min(past[i], s.n) do stamps[#stamps + 1] = stamp end
      end
      past = stamps
    end
    local live, gone = {}, now - s.span
    for i = 1, #past do
      if past[i] * 1000 > gone then live[#live + 1] = math.min(past[i], stampNow) end
    end
    s.stamps, s.used = live, #live
  else
    local own = math.ceil(s.span / ${SLOTS})
    local slot, counts, used = math.floor(now / own), past, 0
    if at and (tag == 'r' or own ~= width) then born = math.max(born, now) end
    if tag == 'r' or own ~= width or slot ~= last then
      counts = {}
      for i = 1, ${COUNTERS} do counts[i] = 0 end
      for i = 1, #past do
        local units, of = past[i], last
        if tag == 'r' then units, of = 1, math.floor(past[i] * 1000 / own)
        elseif own ~= width then of = math.floor(((last - ${COUNTERS - 1} + i) * width - 1) / own)
        else of = last - ${COUNTERS} + i end
        local i = ${COUNTERS} - slot + math.min(of, slot)
        if i > 0 then counts[i] = counts[i] + units end
      end
    end
    for i = 1, ${COUNTERS} do used = used + counts[i] end
    s.counts, s.used, s.width, s.slot = counts, used, own, slot
  end
  s.born = born
end

local function chargeSliding(s, units)
  s.used = s.used + units
  if s.counts then s.counts[${COUNTERS}] = s.counts[${COUNTERS}] + units
  else
    local stamp = math.ceil(now / 1000)
    for _ = 1, math.min(units, s.n) do s.stamps[#s.stamps + 1] = stamp end
  end
end

local function refundSliding(s, units, at)
  if s.counts then
    local first, last = 1, ${COUNTERS}
    if at then
      first = ${COUNTERS} - s.slot + math.floor(at / s.width)
      last = first
    end
    for i = math.max(first, 1), math.min(last, ${COUNTERS}) do
      local less = math.min(units, s.counts[i])
      s.counts[i], s.used, units = s.counts[i] - less, s.used - less, units - less
    end
  else
    local kept, stamp = {}, at and math.ceil(at / 1000)
    for i = 1, #s.stamps do
      if units > 0 and (not at or s.stamps[i] == stamp) then units = units - 1
      else kept[#kept + 1] = s.stamps[i] end
    end
    s.stamps, s.used = kept, #kept
  end
end

local function retrySliding(s, cost)
  if s.stamps then return s.stamps[#s.stamps + cost - s.n] * 1000 + s.span - now end
  local over, i = s.used + cost - s.n, 1
  while over > s.counts[i] do over, i = over - s.counts[i], i + 1 end
  return (s.slot + i) * s.width - now
end

local function lapseSliding(s)
  if s.stamps then
    local last = s.stamps[#s.stamps]
    return last and last * 1000 + s.span - now or 0
  end
  for i = ${COUNTERS}, 1, -1 do
    if s.counts[i] > 0 then return (s.slot + i) * s.width - now end
  end
  return 0
end

local function closeSliding(s)
  if s.stamps then
    local last = #s.stamps
    local first = math.max(1, last - s.n + 1)
    local base = s.stamps[first]
    local parts = { struct.pack('<c1ddH', 'r', s.born, base, last - first + 1) }
    for i = first, last do parts[#parts + 1] = struct.pack('<I4', s.stamps[i] - base) end
    return table.concat(parts)
  end
  local narrow = s.n < 65536
  for i = 1, ${COUNTERS} do s.counts[i] = math.min(s.counts[i], narrow and 65535 or ${LIMIT_MAX}) end
  local format = narrow and ${NARROW} or ${WIDE}
  return struct.pack('<c1ddd', narrow and 's' or 'S', s.born, s.width, s.slot) .. struct.pack(format, unpack(s.counts))
end
`,
});
