import { defineFragment, lua } from '../../../redis/index.js';

/**
 * Checks writes before the first of them is done, because Redis does not roll back. Each is a list of words in `ARGV`: the command, the
 * key, and what follows.
 *
 * - `refusedWrite(at, count)`: why the `count` words from `ARGV[at]` on cannot be done after the writes that were checked before; nil if
 *   they can. Why is `right`, `stream`, `type` (the second result is the type that the key then has), `integer` or `overflow`.
 * - `mayRun(…)`: whether the user has the right to this command. True on a server that does not tell.
 * - `kindOf(key)`: the type that the key has after the writes that were checked, or `none`.
 *
 * Writes may be about one key, so the check follows what each of them does: to the type of its key, and to the numbers in it. Where a
 * write may or may not delete its key (the last member of a set), the key keeps its type here. So a later write of another type is
 * refused although it might succeed, never the other way round.
 *
 * Numbers of Redis have 64 bits, more than those of Lua. So a number is two: `high * 1e9 + low`, with `low` from 0 to 1e9 - 1.
 *
 * Streams are tasks, so no write replaces, deletes or expires one.
 */
export const WRITES = defineFragment({
  name: 'writes',
  lua: lua`
local KINDS = { incrby = 'string', decrby = 'string', hset = 'hash', hdel = 'hash', hincrby = 'hash', sadd = 'set', srem = 'set',
  zadd = 'zset', zrem = 'zset', rpush = 'list' }
local kinds, numbers, replaced = {}, {}, {}

local function mayRun(...)
  return not redis.acl_check_cmd or redis.acl_check_cmd(...)
end

local function kindOf(key)
  if not kinds[key] then kinds[key] = redis.call('TYPE', key).ok end
  return kinds[key]
end

local function sum(one, other)
  local low = one.low + other.low
  local carry = math.floor(low / 1e9)
  return { high = one.high + other.high + carry, low = low - carry * 1e9 }
end

local function fits(number)
  local high, low = number.high, number.low
  if high >= 9223372036 then return high == 9223372036 and low <= 854775807 end
  return high > -9223372037 or high == -9223372037 and low >= 145224192
end

local function integer(text)
  local sign, digits = string.match(text, '^(%-?)([1-9]%d*)$')
  if not digits or #digits > 19 then return text == '0' and { high = 0, low = 0 } end
  local by = sign == '-' and -1 or 1
  local low = { high = 0, low = by * tonumber(string.sub(digits, -9)) }
  local number = sum(low, { high = by * (tonumber(string.sub(digits, 1, -10)) or 0), low = 0 })
  return fits(number) and number
end

local function setNumber(key, field, text)
  if not numbers[key] then numbers[key] = {} end
  numbers[key][field] = integer(text)
end

local function numberAt(key, field)
  local known = numbers[key] and numbers[key][field]
  if known ~= nil then return known end
  local text
  if not replaced[key] and kindOf(key) == 'string' then text = redis.call('GET', key)
  elseif not replaced[key] and kindOf(key) == 'hash' then text = redis.call('HGET', key, field) end
  return integer(text or '0')
end

local function refusedCount(key, field, by)
  local before, change = numberAt(key, field), integer(by)
  if not before or not change then return 'integer' end
  local after = sum(before, change)
  if not fits(after) then return 'overflow' end
  if not numbers[key] then numbers[key] = {} end
  numbers[key][field] = after
end

local function refusedWrite(at, count)
  local name, key = ARGV[at], ARGV[at + 1]
  if not mayRun(unpack(ARGV, at, at + count - 1)) then return 'right' end
  local kind, wanted = kindOf(key), KINDS[name]
  if not wanted then
    if kind == 'stream' then return 'stream' end
    if name == 'expire' then return nil end
    kinds[key], numbers[key], replaced[key] = 'none', nil, true
    if name == 'set' then
      kinds[key] = 'string'
      setNumber(key, '', ARGV[at + 2])
    end
    return nil
  end
  if kind ~= wanted and kind ~= 'none' then return 'type', kind end
  if name == 'incrby' then kinds[key] = wanted return refusedCount(key, '', ARGV[at + 2]) end
  if name == 'decrby' then
    kinds[key] = wanted
    local by = ARGV[at + 2]
    return refusedCount(key, '', string.sub(by, 1, 1) == '-' and string.sub(by, 2) or by == '0' and by or '-' .. by)
  end
  if name == 'hincrby' then kinds[key] = wanted return refusedCount(key, ARGV[at + 2], ARGV[at + 3]) end
  if name == 'hdel' then
    for i = at + 2, at + count - 1 do setNumber(key, ARGV[i], '0') end
    return nil
  end
  if name == 'srem' or name == 'zrem' then return nil end
  if name == 'hset' then setNumber(key, ARGV[at + 2], ARGV[at + 3]) end
  kinds[key] = wanted
  return nil
end
`,
});
