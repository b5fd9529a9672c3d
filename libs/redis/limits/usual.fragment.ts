import { defineFragment, lua } from '../script/fragment.js';
import { TRACE_BYTES, TRACES } from './traces.js';
import { PASSED_SLOTS } from './slots.fragment.js';
import { LIMIT_MAX, RING_HEAD, RING_MAX, SLOTS, SLOTS_HEAD } from './sliding.fragment.js';

/**
 * The short way of a decision about one sliding or fixed window: for what nearly all calls find, in local variables and without the
 * state and the functions of `LIMIT`, which take a script longer than the decision itself.
 *
 * `decideUsually(key, kind, n, span, calendar, units, nonce)` charges these units, writes the key and returns the units that are left
 * and the µs until all of them are back. `calendar`: the end of the window that the caller named, which must be the current one.
 *
 * It returns nil, having written nothing, for all else, which is left to `LIMIT`: units that do not fit, a call whose nonce is in the
 * state, a block, a state of another kind, form, length or size of counters, or from the future, one that is not ours, and a key that
 * cannot be read.
 *
 * What it writes and answers is the same to the byte as by `LIMIT`: the spec of this file plays random calls, clocks, changes of the
 * limit and broken states both ways. The rules and their proofs are those of `RING`, `COUNTED_SLOTS` and `FIXED`.
 *
 * Units of a slot or of a fixed window lapse at one instant, which the lifetime of the key already is, so it stays as it is (KEEPTTL).
 */
export const USUAL = defineFragment({
  name: 'usual',
  needs: [PASSED_SLOTS],
  locals: ['now'],
  lua: lua`
local function decideUsually(key, kind, n, span, calendar, units, nonce)
  local text = redis.pcall('GET', key) or ''
  if type(text) ~= 'string' then return nil end
  local tag, ends, head, used, after, keeps = string.byte(text), 0, nil, 0, 0, false
  if kind ~= 's' then
    -- FIXED
    local born, full = now, calendar or now + span
    if tag then
      if tag ~= ${'f'.charCodeAt(0)} or #text < 25 then return nil end
      local windowEnds
      born, windowEnds, used = struct.unpack('<ddd', text, 2)
      if not (windowEnds > now and used >= 0) or windowEnds > full or calendar and windowEnds ~= full then return nil end
      ends, full, keeps = 25, windowEnds, used > 0
    end
    used, after = used + units, full - now
    head = struct.pack('<c1ddd', 'f', born, full, used)
  elseif n > ${RING_MAX} then
    -- COUNTED_SLOTS
    local size, mark = 2, 's'
    if n > 65535 then size, mark = 4, 'S' end
    local width = math.ceil(span / ${SLOTS})
    local slot = math.floor(now / width)
    local born, older, newest, packed = now, 0, 0, nil
    if tag then
      local itsWidth, last
      ends = ${SLOTS_HEAD} + ${SLOTS} * size
      if tag ~= string.byte(mark) or #text < ends then return nil end
      born, itsWidth, last, older, newest = struct.unpack('<ddddd', text, 2)
      local passed = slot - last
      if itsWidth ~= width or passed % 1 ~= 0 or passed < 0 or not (older >= 0 and newest >= 0) then return nil end
      packed = string.sub(text, ${SLOTS_HEAD + 1}, ends)
      if passed == 0 then keeps = newest > 0
      else packed, older, newest = passSlots(packed, size, older, newest, passed) end
    else packed = string.rep('\0', ${SLOTS} * size) end
    newest = newest + units
    used, after = older + newest, (slot + ${SLOTS + 1}) * width - now
    head = struct.pack('<c1ddddd', mark, born, width, slot, older, newest) .. packed
  else
    -- RING
    local stamp = math.ceil(now / 1000)
    local born, base, packed = now, stamp, ''
    if tag then
      if tag ~= ${'r'.charCodeAt(0)} or #text <= ${RING_HEAD} then return nil end
      local count, first
      born, base, count = struct.unpack('<ddH', text, 2)
      ends = ${RING_HEAD} + 4 * count
      if count == 0 or #text < ends or not (base + struct.unpack('<I4', text, ends - 3) <= stamp) or stamp - base > ${LIMIT_MAX} then return nil end
      first = 1
      while first <= count and (base + struct.unpack('<I4', text, ${RING_HEAD} + 4 * first - 3)) * 1000 <= now - span do first = first + 1 end
      used = count - first + 1
      if used == 0 then base = stamp
      else packed = string.sub(text, ${RING_HEAD + 1} + 4 * (first - 1), ends) end
    end
    used, after = used + units, stamp * 1000 + span - now
    -- Not a string of any length for units that do not fit.
    if used > n then return nil end
    local one = struct.pack('<I4', stamp - base)
    head = struct.pack('<c1ddH', 'r', born, base, used) .. packed .. (units == 1 and one or string.rep(one, units))
  end
  if used > n or tag and string.find(text, nonce, ends + 1, true) then return nil end
  local saved = head .. nonce .. struct.pack('<I4', units) .. string.sub(text, ends + 1, ends + ${(TRACES - 1) * TRACE_BYTES})
  if keeps then redis.call('SET', key, saved, 'KEEPTTL')
  else redis.call('SET', key, saved, 'PX', string.format('%.0f', math.max(1, math.ceil(after / 1000)))) end
  return math.floor(n - used), math.ceil(after)
end
`,
});
