import { LIMIT_US, lua, type LuaText } from '../../../redis/index.js';
import { PACED, PARKED } from '../queue.keys.js';
import { ANSWER } from './answer.fragment.js';
import { DEAD_LETTER } from './dead-letter.fragment.js';
import { FORGET } from './forget.fragment.js';
import { GATES } from './gates.fragment.js';
import { HISTORY } from './history.fragment.js';
import { INDEX } from './index.fragment.js';
import { JOIN } from './join.fragment.js';
import { KEY_RATES } from './key-rates.fragment.js';
import { IS_OF } from './key-type.fragment.js';
import { MARKED } from './marked.fragment.js';
import { NOW } from './now.fragment.js';
import { CLAIM_BYTES, TAKE_OVER } from './take-over.fragment.js';
import { ID_IN } from './task-id.fragment.js';
import { ORDER, PACES, QUEUE_USES } from './uses.fragment.js';

/** How many new entries one call looks at before it says that there are more: about a millisecond of the server's time. */
const LOOKS_MOST = 1_000;

const KEEP_GRACE = `
if keepsGrace then redis.call('SET', grace, string.format('%.0f', graceMs), 'PX', string.format('%.0f', window)) end`;

/** One window for all tasks. */
const OPENS = `
local state
if limit > 0 then
  state = openLimit(rate, 's', limit, window * 1000)
  room = roomFor(state, room, 1)
end`;

const CLOSES = `
local after = 0
if state then
  local given = takenOver + #fresh
  if given > 0 then
    chargeLimit(state, given)
    saveLimit(state)${KEEP_GRACE}
  elseif state.stepped then
    redis.call('DEL', rate)
    saveLimit(state)
  end
  if roomFor(state, 1, 1) == 0 then after = retryAfter(state, 1) end
end`;

/** A window for each key: {@link KEY_RATES}. */
const OPENS_BY_KEY = `
local pacedSince = string.match(redis.call('HGET', uses, '${PACES}') or '', '(%d+)$')
if not pacedSince or now < tonumber(pacedSince) then return redis.error_reply('NOORDER ' .. uses .. ' does not say that keys have rates') end
local rated = keyRates()
-- What one command of a script is told at most, with two arguments for each.
room = math.min(room, 1000)
if not rated.areFine() then return redis.error_reply('WRONGTYPE ' .. rates .. ' or ' .. rateLine .. ' is something else') end
for _, info in ipairs(consumers) do
  if info[2] == paced and info[4] == 0 then redis.call('XGROUP', 'DELCONSUMER', stream, group, paced) end
end
local mayHoldGate = admits
admits = function(id, fields, deliveries)
  return (not mayHoldGate or mayHoldGate(id, fields)) and rated.mayBegin(id, fields, deliveries)
end`;

const CLOSES_BY_KEY = `
rated.save()
if #claimed + #fresh > 0 then${KEEP_GRACE}
end
local after, dueMs = 0, rated.nextDueMs()`;

/**
 * The text of `queue:take`, or of `queue:take-by-rate`.
 *
 * @param byKey whether the rate is one of each key
 * @param keys how many keys the script names. Those of an order are the rest
 */
export function takeLua(byKey: boolean, keys: number): LuaText {
  return lua`
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
${NOW}
${IS_OF}
${FORGET}
${ID_IN}
${INDEX}
${ANSWER}
${HISTORY}
${DEAD_LETTER}
${JOIN}
${MARKED}
local gates, line = KEYS[${keys + 1}], KEYS[${keys + 2}]
local isOrdered, closes = gates ~= nil, ARGV[rest + 1] == '1'
local perKey, keyPath = tonumber(ARGV[rest + 2] or 1), ARGV[rest + 3] or ''
local mayBeTaken = keyPath ~= ''
-- What is opened here is returned, and not given to the caller: the limits may have no room for it.
local opensMost, admits, passesOn, paced = 0, nil, nil, ${byKey ? `'${PACED}'` : 'nil'}
${GATES}
if isOrdered then
  local since = string.match(redis.call('HGET', uses, ARGV[rest + 4] or '${ORDER}') or '', '(%d+)$')
  if not since or now < tonumber(since) then return redis.error_reply('NOORDER ' .. uses .. ' does not say that the queue is ordered') end
  if not gatesFine() then return redis.error_reply('WRONGTYPE ' .. gates .. ' or ' .. line .. ' is something else') end
  admits = admit
  passesOn = function(fields, task, isDead)
    local key = keyOf(fields)
    if isDead and closes then closeGate(key, task) else passOn(key, task) end
  end
end
${TAKE_OVER}
local nowUs = clock[1] * 1000000 + clock[2]
${LIMIT_US}
-- Tasks that consumers have, and tasks that wait to be taken over.
local busy, orphaned = 0, 0
local function count(infos)
  if infos.err then return 0 end
  local nobodys = 0
  for _, info in ipairs(infos) do
    if isDead(info[2]) then nobodys = nobodys + info[4]
    elseif info[2] ~= '${PARKED}' and info[2] ~= paced then busy = busy + info[4] end
  end
  return nobodys
end
local consumers = redis.call('XINFO', 'CONSUMERS', stream, group)
orphaned = count(consumers)
if fleet > 0 and redis.call('EXISTS', other) == 1 then count(redis.pcall('XINFO', 'CONSUMERS', other, group)) end

local room, window, keepsGrace = capacity, perMs, false
if fleet > 0 then room = math.min(room, math.max(0, fleet - busy)) end
if limit > 0 then
  local known = tonumber(redis.call('GET', grace) or 0) or 0
  window = perMs + math.max(graceMs, known)
  keepsGrace = graceMs > usualMs and graceMs >= known
end
${byKey ? KEY_RATES : ''}
${byKey ? OPENS_BY_KEY : OPENS}
takeOver(room)
if mayJudge then redis.call('ZREMRANGEBYSCORE', alive, '-inf', now) end
local takenOver = #claimed
${byKey ? 'rated.openDue(room)' : ''}
local left, looked, isLast, fresh = room - #claimed, 0, false, {}
local function mayLook() return looked < ${LOOKS_MOST} and bytes < ${CLAIM_BYTES} and not isLast end
-- Reads up to so many new entries, in parts that fit into memory. Returns them with their keys and tasks.
local function readNew(most)
  local entries, keys, tasks = {}, {}, {}
  while #entries < most and mayLook() do
    local count = math.min(most - #entries, readMost)
    local reply = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'STREAMS', stream, '>')
    local part = reply and reply[1][2] or {}
    looked, isLast = looked + #part, #part < count
    for _, entry in ipairs(part) do
      local key, task, size = keyAndTask(entry[1], entry[2])
      bytes = bytes + size
      entries[#entries + 1] = entry
      keys[#entries], tasks[#entries] = key or false, task
    end
  end
  return entries, keys, tasks
end
while left > 0 and mayLook() do
  local entries, keys, tasks = readNew(left)
  if isOrdered then entries = admitAll(entries, keys, tasks) end
  ${byKey ? 'entries = rated.beginAll(entries)' : ''}
  for _, entry in ipairs(entries) do fresh[#fresh + 1] = entry end
  left = left - #entries
end

${byKey ? CLOSES_BY_KEY : CLOSES}
local lastId = '0-0'
for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local info = {}
  for i = 1, #row, 2 do info[row[i]] = row[i + 1] end
  if info.name == group then lastId = info['last-delivered-id'] end
end
local waits = more
if room == 0 and orphaned > #deadLetters + #dropped then waits = 1
elseif room > 0 and takenOver == room and orphaned > takenOver + #deadLetters + #dropped then waits = 1
elseif not isLast and #redis.call('XRANGE', stream, '(' .. lastId, '+', 'COUNT', 1) > 0 then waits = 1 end
-- Those who have ended here may have opened others, which were returned.
if next(freed) then waits = 1 end
${byKey ? 'if dueMs == 0 then waits = 1 end' : ''}
local isFull = fleet > 0 and fleet - busy <= #claimed + #fresh and 1 or 0
return { claimed, deadLetters, more, dropped, fresh, lastId, waits, math.ceil(after / 1000), isFull${byKey ? ', dueMs, takenOver' : ''} }`;
}
