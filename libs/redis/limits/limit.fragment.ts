import { defineFragment, lua } from '../script/fragment.js';
import { BUCKET } from './bucket.fragment.js';
import { FIXED } from './fixed.fragment.js';
import { RING } from './ring.fragment.js';
import { LIMIT_MAX, RING_MAX } from './sliding.fragment.js';
import { COUNTED_SLOTS } from './slots.fragment.js';
import { NONCE_BYTES, TRACES, TRACE_BYTES } from './traces.js';

/**
 * The time of the server in µs, as the local `now`. Text of a script, not a fragment, so that a test can give another time. µs since
 * the epoch are exact in a double until 2255.
 */
export const LIMIT_NOW = `
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
`;

/** The prefix of a state that is blocked: `!`, and two doubles. */
export const BLOCK_BYTES = 17;

/** No block lasts so long: 285 years. Longer ones, and numbers that are none, were not written by a script of ours. */
const FOR_EVER_US = 9_007_199_254_740_992;

/**
 * One limit on one subject: a string key, read once, written once.
 *
 * `openLimit(key, kind, n, span, x, y)` reads it, as of `now`. `kind`: `s` sliding window, `b` token bucket, `p` leaky bucket, `f`
 * fixed window, `c` calendar window. `n`: the limit. `span`: its length in µs. `x`, `y`: for `b` and `p` the µs per unit and the
 * burst; for `c` the begin and the end of the window in µs.
 *
 * - `roomFor(s, calls, cost)`: how many of so many calls of this cost fit.
 * - `chargeLimit(s, units)`: counts units, also those that do not fit.
 * - `refundLimit(s, units, at, ends)`: gives back units that were charged at `at`; without `at`, the oldest ones. `ends`: for `p`, when
 *   the turn of these units ends.
 * - `retryAfter(s, cost)`: µs until a call of this cost fits, if no other comes; -1 if it never fits.
 * - `dueAfter(s, cost)`: for `p`, µs until the turn of a call that is charged now, less than 0 if a burst leaves room. `s.wait` is how many µs the calls may wait for it.
 * - `unitsLeft(s)`, `resetAfter(s)`: whole units that fit now, and µs until all of them fit.
 * - `traceOf(s, nonce)`: the units that this call was given, if it was executed before. `trace(s, nonce, units, isAll)` remembers it.
 *   `isAll`: these are all units that it asked for.
 * - `limitFrom(text, kind, …)` and `limitText(s)`: a state that the script keeps elsewhere, from its text and back; and the µs until all of
 *   it has lapsed.
 * - `saveLimit(s)` writes the key, with the time until all of it has lapsed as its lifetime; a state that says nothing is deleted.
 *
 * A call that changes nothing writes nothing, but for one case: `s.stepped`, a state from the future of a clock that was set back. It
 * has to be written as it was opened. Otherwise its units would count until the clock is there again.
 *
 * A block is a prefix of the state: `!`, its begin and its length in µs. While it lasts, nothing fits. After a clock was set back,
 * it lasts its whole length again.
 *
 * A value that is no state of this release, as random bytes or one that was cut off, counts as none: the limit is as new, and the
 * next write replaces the value. Otherwise all calls would fail until somebody deletes the key. A key of another type is refused
 * by Redis (WRONGTYPE) and stays as it is.
 *
 * All numbers are exact: µs in doubles, and no number becomes text but the lifetime.
 */
export const LIMIT = defineFragment({
  name: 'limit',
  needs: [RING, COUNTED_SLOTS, BUCKET, FIXED],
  locals: ['now'],
  lua: lua`
local kinds = {}
local function limitFrom(text, kind, n, span, x, y)
  n = tonumber(n)
  local make = fixedKind
  if kind == 's' then make = n <= ${RING_MAX} and ringKind or slotsKind
  elseif kind == 'b' or kind == 'p' then make = bucketKind end
  local of = kinds[make]
  if not of then
    of = make()
    kinds[make] = of
  end
  local s = { of = of, n = n, span = tonumber(span), born = now, used = 0, traces = '', blocked = nil, stepped = nil }
  if string.sub(text, 1, 1) == '!' and #text > ${BLOCK_BYTES - 1} then
    local since, length, at = struct.unpack('<dd', text, 2)
    text, s.blocked = string.sub(text, at), since + length - now
    if since > now then s.blocked, s.stepped = length, true end
    if not (s.blocked > 0 and s.blocked < ${FOR_EVER_US}) then s.blocked = nil end
  end
  if make == bucketKind then s.each, s.burst, s.wait = tonumber(x), tonumber(y), kind == 'p' and 0 or nil
  elseif kind == 'c' then s.calendar = tonumber(y) end
  of.open(s, text)
  return s
end

local function openLimit(key, kind, n, span, x, y)
  local s = limitFrom(redis.call('GET', key) or '', kind, n, span, x, y)
  s.key = key
  return s
end

local function roomFor(s, calls, cost)
  if s.blocked then return 0 end
  local room = s.each and s.of.room(s, cost) or s.n - s.used
  return math.max(0, math.min(calls, math.floor(room / cost)))
end

local function chargeLimit(s, units)
  s.of.charge(s, units)
end

local function refundLimit(s, units, at, ends)
  if not s.each and at and at < s.born then return end
  s.of.refund(s, units, at, ends)
end

local function retryAfter(s, cost)
  local after = 0
  if s.each then
    if not s.wait and cost > s.burst then return -1 end
    after = s.of.retry(s, cost)
  elseif cost > s.n then return -1
  elseif s.used + cost > s.n then after = s.of.retry(s, cost) end
  return math.max(0, after, s.blocked or 0)
end

local function dueAfter(s, cost)
  return s.wait and s.of.due(s, cost) or 0
end

local function unitsLeft(s)
  if s.blocked then return 0 end
  local room = s.each and s.burst - s.lag / s.each or s.n - s.used
  return math.max(0, math.floor(room))
end

local function resetAfter(s)
  return math.max(s.of.lapse(s), s.blocked or 0)
end

local function traceOf(s, nonce)
  if s.each then return s.of.traceOf(s, nonce) end
  local at = string.find(s.traces, nonce, 1, true)
  if at and at % ${TRACE_BYTES} == 1 and #s.traces >= at + ${TRACE_BYTES - 1} then return (struct.unpack('<I4', s.traces, at + ${NONCE_BYTES})) end
end

local function trace(s, nonce, units, isAll)
  if s.each then return s.of.trace(s, nonce, units, isAll) end
  s.traces = string.sub(nonce .. struct.pack('<I4', math.min(units, ${LIMIT_MAX})) .. s.traces, 1, ${TRACES * TRACE_BYTES})
end

local function limitText(s)
  local text, after = '', s.of.lapse(s)
  if after > 0 then text = s.of.close(s) .. s.traces end
  if s.blocked then text, after = struct.pack('<c1dd', '!', now, s.blocked) .. text, math.max(after, s.blocked) end
  return text, after
end

local function saveLimit(s)
  local text, after = limitText(s)
  if text == '' then redis.call('DEL', s.key)
  else redis.call('SET', s.key, text, 'PX', string.format('%.0f', math.max(1, math.ceil(after / 1000)))) end
end
`,
});
