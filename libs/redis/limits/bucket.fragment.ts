import { defineFragment, lua } from '../script/fragment.js';

/** The unit in which a bucket remembers when it was last half full, in µs, and how far such an instant may lie ahead. */
const TICK_US = 65_536;
const TICKS_AHEAD = 4_096;

/** Bytes before the trace. */
const HEAD = 20;

/** The parts in which half a bucket is counted, in one byte. */
const PARTS = 255;

/** What a bucket remembers of the last call: the first bytes of its nonce, and its units in two bytes. */
const NONCE_START = 6;
const ALL = 65_535;

/**
 * Token bucket and leaky bucket, as GCRA: `each` µs per unit, `burst` units at once. In 28 bytes, the most that Redis keeps
 * in one block of 48 bytes with the header of the value.
 *
 * State: `t`; the instant at which the bucket is full, in whole µs, rounded up; how far that was ahead at the last write (`lag`), in
 * two bytes, rounded up by less than a thousandth; `since`, the last instant at which the bucket was more than half full, in ticks
 * of 65,536 µs; how much lag was there at least ever since if what was given back had never been charged (`least`), in parts of half a
 * bucket, rounded down; born, in whole µs; then the trace of the last call. A unit adds `each` to the lag, and time takes it away.
 *
 * - Token bucket (`wait` is nil): units fit while the lag stays within `burst * each`. A window of `n * each` admits up to
 *   `burst + n` units: the full bucket, and what flows in meanwhile.
 * - Leaky bucket: units also fit if they are due within `wait` µs. The first may start at once, the others at their own instants.
 *   With a burst of 1, starts are at least `each` apart.
 * - A clock that was set back: the lag stays as it was at the last write. No unit of before can be given back any more: how much has
 *   flowed in since its charge is unknown. So `born` moves behind the instant at which the bucket would have been full.
 * - A refund takes away as much lag as there would be less if its units had not been charged. That is all of it, or the least lag
 *   since the charge if this is less: below it, other units would have found the bucket full. The least lag is not known. But it
 *   was at least half the bucket after `since`, less all units that were given back since: without them, others would have found
 *   more room. And the charge itself takes its own time to flow in. The larger of both is given back: never too much, and all of it
 *   where calls are refused, because there the bucket is nearly empty.
 * - The trace of one call is kept, not of four. A call that is sent again after another one is charged twice: the bucket admits less.
 */
export const BUCKET = defineFragment({
  name: 'bucket',
  locals: ['now'],
  lua: lua`
local function bucketKind()
  local function half(s)
    return s.burst * s.each / 2
  end

  local function open(s, text)
    s.lag, s.since, s.least = 0, now, half(s)
    if string.sub(text, 1, 1) ~= 't' or #text < ${HEAD} then return end
    local full, rough, ticks, parts, born = struct.unpack('<I7HHBI7', text, 2)
    s.traces = string.sub(text, ${HEAD + 1})
    local lag, most = full - now, math.ldexp(1 + rough % 1024 / 1024, math.floor(rough / 1024) - 1)
    if lag > most then s.stepped, lag, born = true, most, math.max(born, full + 1) end
    if lag <= 0 then return end
    s.lag, s.born = lag, born
    if lag < half(s) or s.stepped then return end
    local newest = math.ceil(now / ${TICK_US}) + ${TICKS_AHEAD}
    s.since = (newest - (newest - ticks) % 65536) * ${TICK_US}
    s.least = parts / ${PARTS} * half(s)
  end

  local function room(s, cost)
    if s.wait then return (s.wait - s.lag) / s.each + math.max(s.burst, cost) end
    return s.burst - s.lag / s.each
  end

  local function due(s, cost)
    return s.lag + (cost - math.max(s.burst, cost)) * s.each
  end

  local function charge(s, units)
    s.lag = s.lag + units * s.each
  end

  local function refund(s, units, at, ends)
    local back = units * s.each
    if s.wait then
      -- A turn of a leaky bucket is given back only if no other one is behind it.
      if math.abs(now + s.lag - ends) >= 1 then return end
    elseif at then
      if at > now or at < s.born then return end
      back = math.min(back, math.max(at >= s.since and s.least or 0, back - (now - at)))
    end
    s.least = math.max(0, s.least - units * s.each)
    s.lag = math.max(0, s.lag - back)
  end

  local function retry(s, cost)
    if s.wait then return due(s, cost) - s.wait end
    return s.lag + (cost - s.burst) * s.each
  end

  local function lapse(s)
    return s.lag
  end

  local function traceOf(s, nonce)
    if #s.traces < ${NONCE_START + 2} or string.sub(s.traces, 1, ${NONCE_START}) ~= string.sub(nonce, 1, ${NONCE_START}) then return end
    local units = struct.unpack('<H', s.traces, ${NONCE_START + 1})
    return units == ${ALL} and math.huge or units
  end

  local function trace(s, nonce, units, isAll)
    s.traces = string.sub(nonce, 1, ${NONCE_START}) .. struct.pack('<H', isAll and ${ALL} or math.min(units, ${ALL - 1}))
  end

  local function close(s)
    local full = math.ceil(now + s.lag)
    local part, power = math.frexp(full - now)
    local rough = power * 1024 + math.ceil((part * 2 - 1) * 1024)
    local parts = math.floor(s.least / half(s) * ${PARTS})
    return struct.pack('<c1I7HHBI7', 't', full, rough, math.ceil(s.since / ${TICK_US}) % 65536, parts, math.ceil(s.born))
  end

  return {
    open = open, room = room, due = due, charge = charge, refund = refund, retry = retry, lapse = lapse,
    traceOf = traceOf, trace = trace, close = close,
  }
end
`,
});
