import { LIMIT_US, defineScript, lua } from '../../../redis/index.js';
import { GATES } from './gates.fragment.js';
import { IS_OF } from './key-type.fragment.js';
import { NOW } from './now.fragment.js';
import { RETURN } from './return.fragment.js';

/** The clocks of an entry and of a window are read one after the other: they may differ by so much. */
const CLOCKS_US = 2_000;

/**
 * As `queue:return-tasks`, for entries of a handler with a rate that certainly did not start here: their starts are given back.
 *
 * KEYS  stream, alive, grace, rate: the window of all starts. With ratePath: the hash of the windows of keys, and rateEnds, rateDue (see
 *       `KEY_RATES`)
 * ARGV  group, consumer, released, inboxes, limit, perMs, graceMs (as the caller told `queue:take`), ratePath ('': one window), then the ids
 * Reply the ids that were returned
 *
 * **Why no perMs has more starts than limit.** A start is given back only by the process that was given it, in the step that takes the
 * entry from it, so once, and only if it is certainly still in its window: the entry has been pending with this process for less than
 * perMs, and the window is longer by the grace and existed when the entry was given. Of the starts in a window the oldest are given back.
 * So what is left lapses later than what was really started, if at all: the window has room too late, and never too early.
 *
 * A key with entries in its line is due at once.
 *
 * Crash, resend: see `queue:return-tasks`. Late execution: an entry that another process has is not returned, and its start stays. Full
 * server: XCLAIM is the first write, and it refuses nothing more.
 * Slots: the keys of one queue.
 */
export const returnUnstartedScript = defineScript({
  name: 'queue:return-unstarted',
  keys: ['stream', 'alive', 'grace', 'rate'],
  args: {
    ...{ group: 'text', consumer: 'text', released: 'text', inboxes: 'text' },
    ...{ limit: 'number', perMs: 'number', graceMs: 'number', ratePath: 'text' },
  },
  lua: lua`
local rateEnds, rateDue = KEYS[5], KEYS[6]
local other, gates, line, side, opensMost, perKey, keyPath, mayBeTaken = '', '', '', '', 0, 1, ratePath, false
${NOW}
local nowUs = clock[1] * 1000000 + clock[2]
${LIMIT_US}
${IS_OF}
${GATES}
${RETURN}
local window = (perMs + math.max(graceMs, tonumber(redis.call('GET', grace) or 0) or 0)) * 1000
-- By key, or by true for the window of all: when the starts were given.
local given, keys = {}, {}
local function note(pending)
  local key = true
  if ratePath ~= '' then
    local entry = redis.call('XRANGE', stream, pending[1], pending[1])[1]
    key = entry and keyOf(entry[2])
  end
  if not key or pending[3] >= perMs then return end
  if not given[key] then
    given[key] = {}
    keys[#keys + 1] = key
  end
  table.insert(given[key], nowUs - pending[3] * 1000)
end

-- Returns whether the window has changed.
local function giveBack(state, starts)
  local units = 0
  for _, at in ipairs(starts) do
    if at + ${CLOCKS_US} >= state.born then units = units + 1 end
  end
  refundLimit(state, units)
  return units > 0
end

local function giveBackKeys()
  local texts, dues = redis.call('HMGET', rate, unpack(keys)), redis.call('ZMSCORE', rateDue, unpack(keys))
  for i, key in ipairs(keys) do
    local state = limitFrom(texts[i] or '', 's', limit, window)
    if giveBack(state, given[key]) then
      local text = limitText(state)
      if text ~= '' then redis.call('HSET', rate, key, text)
      else
        redis.call('HDEL', rate, key)
        redis.call('ZREM', rateEnds, key)
      end
      if dues[i] then redis.call('ZADD', rateDue, string.format('%.0f', now), key) end
    end
  end
end

-- Before the first write: a key of another type is refused.
local state = ratePath == '' and openLimit(rate, 's', limit, window)
if not state and not (isOf(rate, 'hash') and isOf(rateDue, 'zset')) then
  return redis.error_reply('WRONGTYPE ' .. rate .. ' or ' .. rateDue .. ' is something else')
end
for i = rest + 1, #ARGV do
  local pending = pendingHere(ARGV[i])
  if pending then
    note(pending)
    returnEntry(pending)
  end
end
tellReturned()
if state then
  if giveBack(state, given[true] or {}) then saveLimit(state) end
elseif #keys > 0 then giveBackKeys() end
return returned`,
  decode: (reply) => reply as string[],
});
