import { defineFragment, lua } from '../script/fragment.js';

/**
 * Token bucket and leaky bucket, as GCRA: `each` µs per unit, `burst` units at once.
 *
 * State: `b`, born, the instant of the last write, `lag`: how far the units that were admitted reach ahead of that instant, in µs.
 * A unit adds `each` to the lag, and time takes it away. When it is 0, the bucket is full, and the next unit begins a new state.
 *
 * - Token bucket (`wait` is 0): units fit while the lag stays within `burst * each`. A window of `n * each` admits up to
 *   `burst + n` units: the full bucket, and what flows in meanwhile.
 * - Leaky bucket: units also fit if they are due within `wait` µs. The first may start at once, the others at their own instants.
 *   With a burst of 1, starts are at least `each` apart.
 * - A clock that was set back: the lag stays as it was at the last write.
 * - A refund takes the lag of its units away, unless the bucket was full since (`born`): then they have flowed in already.
 */
export const BUCKET = defineFragment({
  name: 'bucket',
  locals: ['now'],
  lua: lua`
local function openBucket(s, text)
  s.last, s.lag = now, 0
  if string.sub(text, 1, 1) ~= 'b' then return end
  local born, last, lag, at = struct.unpack('<ddd', text, 2)
  s.traces = string.sub(text, at)
  if last > now then s.stepped, born = true, math.max(born, last + 1)
  else lag = lag - (now - last) end
  if lag > 0 then s.born, s.lag, s.last = born, lag, last end
end

local function roomInBucket(s, cost)
  if s.wait then return (s.wait - s.lag) / s.each + math.max(s.burst, cost) end
  return s.burst - s.lag / s.each
end

local function dueInBucket(s, cost)
  return s.lag + (cost - math.max(s.burst, cost)) * s.each
end

local function refundBucket(s, units, ends)
  -- A turn of a leaky bucket is given back only if no other one is behind it.
  if s.wait and math.abs(now + s.lag - ends) >= 1 then return end
  s.lag = math.max(0, s.lag - units * s.each)
end

local function retryBucket(s, cost)
  if s.wait then return dueInBucket(s, cost) - s.wait end
  return s.lag + (cost - s.burst) * s.each
end

local function closeBucket(s)
  return struct.pack('<c1ddd', 'b', s.born, now, s.lag)
end
`,
});
