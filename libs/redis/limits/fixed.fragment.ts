import { defineFragment, lua } from '../script/fragment.js';

/**
 * Fixed windows: `n` units per window. Two windows touch, so a span of one window's length may hold up to `2 * n` units.
 *
 * State: `f`, born, the end of the window in µs, the units. A window begins with its first unit and lasts `span` µs. A calendar
 * window ends at `ends`, which the caller computed: the script answers a caller whose window is not the current one.
 *
 * - A clock that was set back: a calendar window of the future keeps its units and its end, so the units count in the current
 *   window too. Any other window then ends at most `span` from now.
 */
export const FIXED = defineFragment({
  name: 'fixed',
  locals: ['now'],
  lua: lua`
local function fixedKind()
  local function open(s, text)
    local full = now + s.span
    s.ends = s.calendar or full
    if string.sub(text, 1, 1) ~= 'f' or #text < 25 then return end
    local born, ends, used, at = struct.unpack('<ddd', text, 2)
    s.traces = string.sub(text, at)
    -- Of a state that is not ours, either may be no number.
    if not (ends > now and used >= 0) then return end
    s.born, s.used = born, used
    if s.calendar and ends > s.calendar and ends <= full + s.span then s.ends = ends
    elseif not s.calendar and ends <= full then s.ends = ends
    elseif ends ~= s.ends then s.stepped = true end
  end

  local function charge(s, units)
    s.used = s.used + units
  end

  local function refund(s, units)
    s.used = math.max(0, s.used - units)
  end

  local function retry(s)
    return s.ends - now
  end

  local function lapse(s)
    return s.used > 0 and s.ends - now or 0
  end

  local function close(s)
    return struct.pack('<c1ddd', 'f', s.born, s.ends, s.used)
  end

  return { open = open, charge = charge, refund = refund, retry = retry, lapse = lapse, close = close }
end
`,
});
