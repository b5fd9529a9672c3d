import { lua } from '../../../redis/index.js';

/** The server's clock, read once: `nowUs` is exact in a double until the year 2255. */
export const NOW_LUA = lua`
local clock = redis.call('TIME')
local nowUs = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local nowMs = math.floor(nowUs / 1000)
`;

/**
 * Epochs: random texts that were never used before. A value names those it was loaded in, and counts only while each of
 * them is what it was: to remove an epoch is to invalidate all that names it, and to lose one is no worse.
 *
 * Needs the locals `epoch` (the key of the epoch of everything) and `tagPrefix` (of the keys of tags' epochs).
 */
export const CURRENT_LUA = lua`
-- Whether these are the epochs of now: that of everything, and those of tags as ' tag=epoch tag=epoch'.
local function current(named, tags)
  if redis.call('GET', epoch) ~= named then return false end
  -- Each match begins at a space: whatever stands there is passed over once.
  for tag, of in string.gmatch(tags or '', ' ([^ =]+)=([^ =]+)') do
    if redis.call('GET', tagPrefix .. tag) ~= of then return false end
  end
  return true
end
`;

/** Needs the locals `token` (of this request alone), `nowUs`, and `keepMs` (how long what names the epoch may live). */
export const MINT_LUA = lua`
-- The epoch that stands under a key; a new one where there is none. No two requests share a token, and no request mints
-- one epoch twice in a microsecond: what was removed or lost is never made again.
local function mint(key)
  local of = redis.call('GET', key)
  if not of then
    of = token .. '.' .. string.format('%.0f', nowUs)
    redis.call('SET', key, of, 'PX', 2 * keepMs)
  elseif redis.call('PTTL', key) < keepMs then
    redis.call('PEXPIRE', key, 2 * keepMs)
  end
  return of
end
`;

/**
 * A stored value: one line of header, then the text.
 *
 *   ^1 <epoch> <fresh until, server ms> <load, ms> <tag>=<epoch> …\n<text>
 */
export const HEADER_LUA = lua`
local function header(named, untilMs, loadMs, tags)
  return '^1 ' .. named .. ' ' .. string.format('%.0f', untilMs) .. ' ' .. string.format('%.0f', loadMs) .. tags .. '\n'
end
`;

/**
 * `parse(stored)`: the header's parts, its times as numbers; nothing where there is none. Whoever may write there may have
 * written it: the line is cut out first, so that no pattern goes over the text behind it, and no time is longer than one of ours.
 */
export const PARSE_LUA = lua`
local function parse(stored)
  local ends = stored and string.find(stored, '\n', 1, true)
  if not ends then return nil end
  local named, untilMs, loadMs, tags = string.match(string.sub(stored, 1, ends - 1), '^%^1 (%S+) (%d+) (%d+)(.*)$')
  if not named or #untilMs > 15 or #loadMs > 15 then return nil end
  return named, tonumber(untilMs), tonumber(loadMs), tags
end
`;

/** How many invalidated tags are remembered for loads whose tags only the result names. */
export const RECENT_MAX = 10_000;
