import { defineFragment, lua } from '../script/fragment.js';
import { LIMIT_MAX, PAST_UNITS, RING_HEAD } from './sliding.fragment.js';

/**
 * A sliding window of at most 64: the instants of the last `n` units, in ms, rounded up.
 *
 * State: `r`, born, the instant that the others are counted from, their number, offsets of four bytes. Units fit if those in
 * (now - span, now] leave room. An instant is rounded up, so no unit leaves early. Instants stay packed: a usual call takes those
 * that have lapsed from the front, and appends its own.
 */
export const RING = defineFragment({
  name: 'ring',
  needs: [PAST_UNITS],
  locals: ['now'],
  lua: lua`
local function ringKind()
  local stampNow = math.ceil(now / 1000)

  local function stampAt(s, i)
    return s.base + (struct.unpack('<I4', s.packed, 4 * i - 3))
  end

  local function addStamps(s, stamp, units)
    if s.used == 0 then s.base, s.packed = stamp, '' end
    s.packed = s.packed .. string.rep(struct.pack('<I4', stamp - s.base), units)
    s.used = s.used + units
  end

  local function charge(s, units)
    if s.used > 0 and stampNow - s.base > ${LIMIT_MAX} then
      -- The instant that the others are counted from has lapsed long ago. The first one that is left takes its place.
      local stamps = {}
      for i = 1, s.used do stamps[i] = stampAt(s, i) end
      s.used = 0
      for i = 1, #stamps do addStamps(s, stamps[i], 1) end
    end
    addStamps(s, stampNow, math.min(units, s.n))
  end

  local function open(s, text)
    local gone = now - s.span
    local count = #text > ${RING_HEAD} and string.sub(text, 1, 1) == 'r' and struct.unpack('<H', text, ${RING_HEAD - 1}) or 0
    local ends = ${RING_HEAD} + 4 * count
    if count > 0 and #text >= ends then
      s.born, s.base = struct.unpack('<dd', text, 2)
      s.packed, s.used, s.traces = string.sub(text, ${RING_HEAD + 1}, ends), count, string.sub(text, ends + 1)
      if stampAt(s, count) <= stampNow then
        local first = 1
        while first <= count and stampAt(s, first) * 1000 <= gone do first = first + 1 end
        if first > 1 then s.packed, s.used = string.sub(s.packed, 4 * first - 3), count - first + 1 end
        return
      end
    end
    s.used = 0
    local instants, units = readPast(s, text)
    if count == 0 and #units > 0 then s.born = math.max(s.born, now) end
    for i = 1, #units do
      local stamp = math.ceil(instants[i] / 1000)
      if stamp * 1000 > gone then addStamps(s, math.min(stamp, stampNow), math.min(units[i], s.n)) end
    end
  end

  local function refund(s, units, at)
    local stamp, kept = at and math.ceil(at / 1000), {}
    for i = 1, s.used do
      if units > 0 and (not at or stampAt(s, i) == stamp) then units = units - 1
      else kept[#kept + 1] = string.sub(s.packed, 4 * i - 3, 4 * i) end
    end
    s.packed, s.used = table.concat(kept), #kept
  end

  local function retry(s, cost)
    return stampAt(s, s.used + cost - s.n) * 1000 + s.span - now
  end

  local function lapse(s)
    return s.used > 0 and stampAt(s, s.used) * 1000 + s.span - now or 0
  end

  local function close(s)
    local count = math.min(s.used, s.n)
    local packed = count < s.used and string.sub(s.packed, -4 * count) or s.packed
    return struct.pack('<c1ddH', 'r', s.born, s.base, count) .. packed
  end

  return { open = open, charge = charge, refund = refund, retry = retry, lapse = lapse, close = close }
end
`,
});
