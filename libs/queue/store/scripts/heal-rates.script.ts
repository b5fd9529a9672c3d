import { defineScript, lua } from '../../../redis/index.js';
import { PACED, RELEASED } from '../queue.keys.js';
import { GATES } from './gates.fragment.js';
import { MOVES } from './move-rights.js';
import { NOW } from './now.fragment.js';
import { TELL } from './tell.fragment.js';
import { QUEUE_USES } from './uses.fragment.js';

/** Entries, and keys in line, that one call looks at, each. */
const LOOKS = 100;

export interface HealedRates {
  /** Entries that waited for the rate of their key and were not in line, and keys in line for which nobody would have come. */
  readonly healed: number;
  /** Where the next call goes on; '': this was the last part, or another process has looked a moment ago. */
  readonly cursor: string;
}

/**
 * Finds tasks that wait for the rate of their key and would wait for ever, because of what no script of Sluice has done (DEL by others, a
 * restored copy): they are in line again, and their keys are due.
 *
 * KEYS  stream, swept, alive, uses, rateLine, rateDue (see {@link KEY_RATES})
 * ARGV  group, side, inboxes, everyMs (at most so often in the fleet; 0: now), cursor ('' or where the last call ended), ratePath
 * Reply {@link HealedRates}
 *
 * What is pending with `~paced` is in line, and a key with a line is due, after every script. So whatever is found here is mended at once.
 * An entry that was deleted is acknowledged; one without a key any more is returned. Places in line whose entries are gone are dropped when
 * it is their turn. Each call looks at some entries and at some keys; a row of calls sees all of them.
 *
 * Crash: it is one script, and the next row begins anew. Repeat, two callers: what is in its place stays there. Newer data: nothing is changed.
 * Full server: HSET of `swept` or ZADD may be refused, and is tried again. Slots: the keys of one queue.
 */
export const healRatesScript = defineScript({
  name: 'queue:heal-rates',
  rights: MOVES,
  keys: ['stream', 'swept', 'alive', 'uses', 'rateLine', 'rateDue'],
  args: { group: 'text', side: 'text', inboxes: 'text', everyMs: 'number', cursor: 'text', ratePath: 'text' },
  lua: lua`
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
${NOW}
${TELL}
local function pacedFrom(from, count)
  local rows = redis.pcall('XPENDING', stream, group, from, '+', count, '${PACED}')
  return rows.err and {} or rows
end
if redis.call('EXISTS', rateLine) == 0 and #pacedFrom('-', 1) == 0 then return { 0, '' } end
-- Where each part goes on; '': it is over. That of the keys is the least place, in the form of ZRANGE.
local entriesFrom, keysFrom = string.match(cursor, '^([%d%-]*) (.*)$')
if cursor == '' then
  local last = everyMs > 0 and tonumber(redis.call('HGET', swept, 'rates ' .. group) or '')
  if last and last <= now and now - last < everyMs then return { 0, '' } end
  if everyMs > 0 then
    redis.call('HSET', swept, 'rates ' .. group, string.format('%.0f', now))
    redis.call('PEXPIRE', swept, string.format('%.0f', everyMs * 10))
  end
  entriesFrom, keysFrom = '0-0', '-'
end
local other, gates, line, consumer, opensMost, perKey, keyPath, mayBeTaken = '', '', '', '', 0, 1, ratePath, false
${GATES}
local healed, returned = 0, false
local function makeDue(key)
  if redis.call('ZSCORE', rateDue, key) then return 0 end
  return redis.call('ZADD', rateDue, string.format('%.0f', now), key)
end

if entriesFrom ~= '' then
  local rows = pacedFrom('(' .. entriesFrom, ${LOOKS})
  for _, row in ipairs(rows) do
    local entry = redis.call('XRANGE', stream, row[1], row[1])[1]
    local key = entry and keyOf(entry[2])
    if not entry then redis.call('XACK', stream, group, row[1])
    elseif key then
      healed = healed + redis.call('ZADD', rateLine, '0', placeOf(key, row[1]))
      healed = healed + makeDue(key)
    else
      redis.call('XCLAIM', stream, group, '${RELEASED}', '0', row[1], 'RETRYCOUNT', row[4], 'JUSTID')
      returned = true
    end
  end
  entriesFrom = #rows == ${LOOKS} and rows[#rows][1] or ''
end

if keysFrom ~= '' then
  for _ = 1, ${LOOKS} do
    local place = redis.call('ZRANGE', rateLine, keysFrom, '+', 'BYLEX', 'LIMIT', '0', '1')[1]
    local key = place and string.match(place, '^(.*)%z')
    if not key then
      keysFrom = ''
      break
    end
    healed = healed + makeDue(key)
    keysFrom = '(' .. key .. '\1'
  end
end

if healed > 0 or returned then tell('queue:released', stream) end
return { healed, entriesFrom == '' and keysFrom == '' and '' or entriesFrom .. ' ' .. keysFrom }`,
  decode: (reply): HealedRates => {
    const [healed, cursor] = reply as [number, string];
    return { healed, cursor };
  },
});
