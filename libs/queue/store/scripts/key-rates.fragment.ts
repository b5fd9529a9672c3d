import { LIMIT_US, defineFragment, lua } from '../../../redis/index.js';
import { PACED } from '../queue.keys.js';
import { GATES } from './gates.fragment.js';
import { IS_OF } from './key-type.fragment.js';
import { NOW } from './now.fragment.js';
import { TAKE_OVER } from './take-over.fragment.js';
import { TELL } from './tell.fragment.js';

/** How many places in line, and how many keys, one call looks at. */
const LOOKS = 1_000;

/** How many windows that have lapsed one call deletes. */
const LAPSED_MOST = 1_000;

/**
 * The rate of each key: no more than `limit` tasks of a key start in any `window` ms, in all processes of a group.
 *
 * `rates` is a hash: key → the sliding window of its starts (`LIMIT`), and `rateEnds` a sorted set of the same keys by when all of that has
 * lapsed. `rateLine` is a sorted set of the entries of this stream that wait, with their places as in {@link GATES}. What is in the line is
 * pending with the consumer `~paced`, which is no process, and keeps the deliveries that it had. `rateDue` is a sorted set of the keys
 * that have entries in the line, by when the window has room for the next one: a key with a line is in `rateDue`, so somebody comes for it.
 * The line of the group's own retries is one of its own; the windows are those of the group.
 *
 * The key of an entry is what its payload has at `ratePath`. An entry without one starts at any time.
 *
 * - `keyRates()` makes an object of these functions. `areFine()`: whether the keys are what they should be. It is asked before the first write.
 * - `beginAll(entries)`: those of the new entries that may start, which are charged; the others wait in line. An entry waits as well if
 *   others of its key do, so a key keeps the order of the stream.
 * - `mayBegin(id, fields, deliveries)`: the same for an entry that a dead process had, or that was returned or waited in line.
 * - `openDue(room)`: takes over entries from the line, by the rules of {@link TAKE_OVER}, while their windows and the caller have room.
 * - `save()`: writes what was charged, and when the keys are due. `nextDueMs()`: in how many ms somebody has to come; -1: nobody.
 *
 * A start is charged in the step that gives it, and what is given starts within half of the grace or is returned: `queue:take` says why
 * no window has more. What was charged and did not start is given back (`queue:return-unstarted`), or lapses with its window after a crash
 * or a lost reply.
 *
 * Whose place is in line, and is not pending with `~paced`, was removed: its place is dropped when its turn comes. The key of an entry
 * is looked at anew then, so another `ratePath` holds at once. An instant that is further ahead than two windows, because the clock was set
 * back or the window was longer, is now. ZREM comes before ZADD: a full server refuses the second as the first write.
 */
export const KEY_RATES = defineFragment({
  name: 'key-rates',
  needs: [GATES, IS_OF, LIMIT_US, NOW, TAKE_OVER, TELL],
  locals: [
    ...['stream', 'group', 'nowUs', 'limit', 'window', 'ratePath'],
    ...['rates', 'rateEnds', 'rateLine', 'rateDue'],
  ],
  lua: lua`
-- One local: Lua has 200 in a script at most.
local function keyRates()
-- By key: its window, whether entries wait in its line, whether something was charged, and whether its instant may have changed.
local windows, lined, charged, touched = {}, {}, {}, {}
-- The key whose line is opened; by entry, into the line of which key it went; keys whose first entry cannot run here now.
local opening, wentTo, skipped, looksLeft = nil, {}, 0, ${LOOKS}

local function ratesFine()
  return isOf(rates, 'hash') and isOf(rateEnds, 'zset') and isOf(rateLine, 'zset') and isOf(rateDue, 'zset')
end

local function rateKeyOf(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'payload' then return gateKey(keyAtPath(fields[i + 1], ratePath)) end
  end
end

local function readWindows(keys)
  local unknown = {}
  for _, key in ipairs(keys) do
    if key and windows[key] == nil then
      windows[key] = false
      unknown[#unknown + 1] = key
    end
  end
  if #unknown == 0 then return end
  local texts, dues = redis.call('HMGET', rates, unpack(unknown)), redis.call('ZMSCORE', rateDue, unpack(unknown))
  for i, key in ipairs(unknown) do
    windows[key] = limitFrom(texts[i] or '', 's', limit, window * 1000)
    lined[key] = dues[i] and true
    -- It is written as it was opened: else its units would count until the clock is there again.
    if windows[key].stepped then charged[key] = true end
  end
end

local function charge(key)
  if lined[key] and key ~= opening or roomFor(windows[key], 1, 1) == 0 then return false end
  chargeLimit(windows[key], 1)
  charged[key] = true
  return true
end

local function lineUp(ids, keys, deliveries)
  local claim, places = {}, {}
  for i, id in ipairs(ids) do
    claim[i] = id
    places[2 * i - 1] = '0'
    places[2 * i] = placeOf(keys[i], id)
    lined[keys[i]] = true
    touched[keys[i]] = true
  end
  claim[#claim + 1] = 'RETRYCOUNT'
  claim[#claim + 1] = deliveries
  claim[#claim + 1] = 'JUSTID'
  redis.call('XCLAIM', stream, group, '${PACED}', '0', unpack(claim))
  redis.call('ZADD', rateLine, unpack(places))
end

local function beginAll(entries)
  local keys, may, ids, of = {}, {}, {}, {}
  for i, entry in ipairs(entries) do keys[i] = rateKeyOf(entry[2]) or false end
  readWindows(keys)
  for i, entry in ipairs(entries) do
    if not keys[i] or charge(keys[i]) then may[#may + 1] = entry
    else
      ids[#ids + 1] = entry[1]
      of[#ids] = keys[i]
    end
  end
  if #ids > 0 then lineUp(ids, of, '0') end
  return may
end

local function mayBegin(id, fields, deliveries)
  local key = rateKeyOf(fields)
  readWindows({ key or false })
  if not key or charge(key) then return true end
  wentTo[id] = key
  -- The other processes have not seen the entry, as they have seen one that comes into the stream.
  if not lined[key] then tell('queue:released', stream) end
  lineUp({ id }, { key }, tostring(deliveries))
  return false
end

local function storeDue(key)
  redis.call('ZREM', rateDue, key)
  if not lined[key] then return end
  local after = retryAfter(windows[key], 1)
  redis.call('ZADD', rateDue, string.format('%.0f', after == 0 and now or math.ceil((nowUs + after) / 1000)), key)
end

local function isPaced(id)
  local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
  return pending and pending[2] == '${PACED}' and pending
end

-- Returns whether the caller may go on with the next entry of the line.
local function openPlace(key, place, room)
  local id, before = entryAt(place, key), #claimed
  local pending = isPaced(id)
  looksLeft = looksLeft - 1
  if pending then
    takeFrom('${PACED}', { pending }, room)
    if #claimed == before and (wentTo[id] or key) == key and isPaced(id) then return false end
  end
  redis.call('ZREM', rateLine, place)
  return true
end

local function openKey(key, room)
  opening = key
  while true do
    local most = math.max(0, roomFor(windows[key], math.min(room - #claimed, looksLeft), 1))
    local places = redis.call('ZRANGE', rateLine, '[' .. key .. '\0', '(' .. key .. '\1', 'BYLEX', 'LIMIT', '0', most + 1)
    lined[key] = #places > 0
    if most == 0 or #places == 0 then return true end
    for i = 1, math.min(most, #places) do
      if not openPlace(key, places[i], room) then return false end
    end
  end
end

local function openDue(room)
  -- What was just taken over may be first in line.
  for key in pairs(touched) do storeDue(key) end
  local ahead = redis.call('ZRANGEBYSCORE', rateDue, '(' .. string.format('%.0f', now + 2 * window), '+inf', 'LIMIT', '0', '${LOOKS}')
  for _, key in ipairs(ahead) do
    redis.call('ZREM', rateDue, key)
    redis.call('ZADD', rateDue, string.format('%.0f', now), key)
  end
  while #claimed < room and looksLeft > 0 do
    local keys = redis.call('ZRANGEBYSCORE', rateDue, '-inf', now, 'LIMIT', skipped, math.min(room - #claimed, 100))
    if #keys == 0 then break end
    readWindows(keys)
    for _, key in ipairs(keys) do
      looksLeft = looksLeft - 1
      if #claimed >= room then break
      elseif openKey(key, room) then storeDue(key)
      else skipped = skipped + 1 end
    end
  end
  opening = nil
end

local function saveRates()
  for key in pairs(touched) do storeDue(key) end
  local texts, ends = {}, {}
  for key in pairs(charged) do
    local text, after = limitText(windows[key])
    if text ~= '' then
      texts[#texts + 1] = key
      texts[#texts + 1] = text
      ends[#ends + 1] = string.format('%.0f', math.ceil((nowUs + after) / 1000))
      ends[#ends + 1] = key
    end
  end
  if #texts > 0 then
    redis.call('HSET', rates, unpack(texts))
    redis.call('ZADD', rateEnds, unpack(ends))
    local latest = redis.call('ZREVRANGE', rateEnds, '0', '0', 'WITHSCORES')[2]
    for _, key in ipairs({ rates, rateEnds }) do redis.call('PEXPIRE', key, string.format('%.0f', latest - now)) end
  end
  local lapsed = redis.call('ZRANGEBYSCORE', rateEnds, '-inf', now, 'LIMIT', '0', '${LAPSED_MOST}')
  if #lapsed > 0 then
    redis.call('HDEL', rates, unpack(lapsed))
    redis.call('ZREM', rateEnds, unpack(lapsed))
  end
end

local function nextDueMs()
  local due = redis.call('ZRANGEBYSCORE', rateDue, '-inf', '+inf', 'WITHSCORES', 'LIMIT', skipped, '1')[2]
  return due and math.max(0, tonumber(due) - now) or -1
end

return {
  areFine = ratesFine, beginAll = beginAll, mayBegin = mayBegin, openDue = openDue, save = saveRates, nextDueMs = nextDueMs,
}
end
`,
});
