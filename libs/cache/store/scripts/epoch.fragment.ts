import { defineFragment, lua } from '../../../redis/index.js';

/** The server's clock, read once: `nowUs` is exact in a double until the year 2255. */
export const NOW = defineFragment({
  name: 'now',
  lua: lua`
local clock = redis.call('TIME')
local nowUs = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local nowMs = math.floor(nowUs / 1000)
`,
});

/**
 * Epochs: texts that are never used a second time. A value names the epochs that it was loaded in, and it counts only while
 * each of them is unchanged. So removing an epoch invalidates every value that names it. The loss of an epoch has the
 * same effect, and no other.
 *
 * `current(named, tags)`: whether these epochs are unchanged. `named` is the epoch of everything, whose key is `epoch`. `tags`
 * are the epochs of tags, whose keys begin with `tagPrefix`. They are written as ' tag=epoch tag=epoch'.
 */
export const CURRENT = defineFragment({
  name: 'current',
  locals: ['epoch', 'tagPrefix'],
  lua: lua`
local function current(named, tags)
  if redis.call('GET', epoch) ~= named then return false end
  -- Each match begins at a space, so a text without one is read once.
  for tag, of in string.gmatch(tags or '', ' ([^ =]+)=([^ =]+)') do
    if redis.call('GET', tagPrefix .. tag) ~= of then return false end
  end
  return true
end
`,
});

/**
 * `mint(key, keepMs)`: the epoch under that key, or a new epoch if there is none. `keepMs`: how long a value that names the
 * epoch may live. No two requests share a `token`, and no request mints one epoch twice in a microsecond. So an epoch that
 * was removed or lost never returns.
 */
export const MINT = defineFragment({
  name: 'mint',
  needs: [NOW],
  locals: ['token'],
  lua: lua`
local function mint(key, keepMs)
  local of = redis.call('GET', key)
  if not of then
    of = token .. '.' .. string.format('%.0f', nowUs)
    redis.call('SET', key, of, 'PX', 2 * keepMs)
  elseif redis.call('PTTL', key) < keepMs then
    redis.call('PEXPIRE', key, 2 * keepMs)
  end
  return of
end
`,
});

/**
 * A stored value: one line of header, then the text.
 *
 *   ^1 <epoch> <fresh until, server ms> <load, ms> <tag>=<epoch> …\n<text>
 */
export const HEADER = defineFragment({
  name: 'header',
  lua: lua`
local function header(named, untilMs, loadMs, tags)
  return '^1 ' .. named .. ' ' .. string.format('%.0f', untilMs) .. ' ' .. string.format('%.0f', loadMs) .. tags .. '\n'
end
`,
});

/**
 * `parse(stored)`: the parts of the header, with its times as numbers. Nil if there is no header. Other clients may have written
 * this text. So the line is cut out first, and no pattern runs over the text behind it. A time of too many digits is refused.
 */
export const PARSE = defineFragment({
  name: 'parse',
  lua: lua`
local function parse(stored)
  local ends = stored and string.find(stored, '\n', 1, true)
  if not ends then return nil end
  local named, untilMs, loadMs, tags = string.match(string.sub(stored, 1, ends - 1), '^%^1 (%S+) (%d+) (%d+)(.*)$')
  if not named or #untilMs > 15 or #loadMs > 15 then return nil end
  return named, tonumber(untilMs), tonumber(loadMs), tags
end
`,
});

/** How many invalidated tags are remembered for loads whose tags only the result names. */
export const RECENT_MAX = 10_000;
