import { defineFragment, lua } from '../../../redis/index.js';
import { PARKED } from '../queue.keys.js';
import { ANSWER } from './answer.fragment.js';
import { DEAD_LETTER } from './dead-letter.fragment.js';
import { FORGET } from './forget.fragment.js';
import { HISTORY } from './history.fragment.js';
import { INDEX } from './index.fragment.js';
import { JOIN } from './join.fragment.js';
import { IS_OF } from './key-type.fragment.js';
import { MARKED } from './marked.fragment.js';
import { NOW } from './now.fragment.js';
import { ID_IN } from './task-id.fragment.js';
import { ORDER } from './uses.fragment.js';

/** How many bytes the entries in one reply have at most, plus one entry. */
export const CLAIM_BYTES = 4 * 2 ** 20;

/** The arguments that a script with `TAKE_OVER` has. `queue:reap` says what they are. */
export const TAKE_OVER_ARGS = {
  group: 'text',
  consumer: 'text',
  leaseMs: 'number',
  sinceMs: 'number',
  endsMs: 'number',
  capacity: 'number',
  maxDeliveries: 'number',
  alone: 'number',
  foreignIdleMs: 'number',
  released: 'text',
  prefix: 'text',
  publishes: 'text',
  side: 'text',
  inboxes: 'text',
  keep: 'number',
  level: 'text',
} as const;

/**
 * `takeOver(room)`: claims the entries of dead consumers for the caller, at most `room`. `queue:reap` says who is dead, and why this
 * is safe; `isDead(name)` answers it for one consumer. A caller that observes
 * keys leaves alone what waits for its key (`~parked`), and so does every caller on an ordered queue. Any other caller takes it over:
 * `concurrency.perKey` may have ended.
 *
 * `claimed` has the entries with their deliveries; `deadLetters` and `dropped` have the ids of tasks that were delivered too often, and
 * of those that are cancelled. `more` is 1 if there are more entries, which would have made the reply too large.
 */
export const TAKE_OVER = defineFragment({
  name: 'take-over',
  needs: [NOW, IS_OF, FORGET, ID_IN, INDEX, ANSWER, HISTORY, DEAD_LETTER, JOIN, MARKED],
  locals: [
    ...[
      'stream',
      'alive',
      'uses',
      'dead',
      'index',
      'cancelled',
      'failedTo',
      'group',
      'consumer',
      'leaseMs',
      'sinceMs',
      'endsMs',
    ],
    ...[
      'maxDeliveries',
      'alone',
      'foreignIdleMs',
      'released',
      'prefix',
      'publishes',
      'admits',
      'passesOn',
      'paced',
      'keep',
      'level',
    ],
  ],
  lua: lua`
local function lives(name)
  local ends = redis.call('ZSCORE', alive, name)
  return ends and tonumber(ends) > now
end
local mine = tonumber(redis.call('ZSCORE', alive, consumer) or 0)
local mayJudge = now - sinceMs >= leaseMs and now < endsMs and mine >= endsMs
local bytes, more = 0, 0
local claimed, deadLetters, dropped = {}, {}, {}
local hasMarks = redis.call('EXISTS', cancelled) == 1

local function isDead(name)
  if name == released then return true end
  if name == paced or name == '${PARKED}' and (passesOn or redis.call('HGET', uses, '${ORDER}')) then return false end
  if not mayJudge or name == consumer or string.sub(name, 1, #prefix) ~= prefix then return false end
  return not lives(name)
end

local isolatedFrom = math.max(2, math.min(3, maxDeliveries))

local function fieldOf(fields, name)
  for i = 1, #fields, 2 do if fields[i] == name then return fields[i + 1] end end
  return ''
end
local function metaOf(fields) return fieldOf(fields, 'meta') end

-- What is recorded of a task that is buried here: nobody knows when its last run began.
local function lastRun(fields, name, count)
  if keep == 0 then return nil end
  return { keep = keep, level = level, attempts = string.match(fieldOf(fields, 'retry_count'), '^%d+$') or '0',
    deliveries = tostring(count), agoMs = '-1', ranMs = '-1', worker = name }
end

-- Returns whether the entry was one that is cancelled.
local function dropCancelled(id)
  if not hasMarks or not isMarked(id) then return false end
  local entry = redis.call('XRANGE', stream, id, id)[1]
  local meta = metaOf(entry and entry[2] or {})
  local task = idIn(meta) or id
  local member, refused = joined(joinIn(meta))
  -- It stays where it is: what follows its join could not be published.
  if refused then return true end
  redis.call('XACK', stream, group, id)
  if forget(id) then unindex(index, task, id) end
  unmark(id)
  settleMember(member, 'removed')
  answerFailure(meta, task, 'cancelled', 'cancelled', '', fieldOf(entry and entry[2] or {}, 'retry_count'))
  dropped[#dropped + 1] = task
  if passesOn then passesOn(entry and entry[2] or {}, task, false) end
  return true
end

local function takeFrom(name, rows, room)
  local ids, deliveries = {}, {}
  for _, pending in ipairs(rows) do
    local id, count = pending[1], pending[4]
    local isolated = count + 1 >= isolatedFrom
    local mayTake = #claimed + #ids < room and not (isolated and alone == 1)
    if mayTake and bytes >= ${CLAIM_BYTES} then mayTake, more = false, 1 end
    if (count >= maxDeliveries or mayTake) and not dropCancelled(id) then
      local entry = redis.call('XRANGE', stream, id, id)[1]
      if not entry then redis.call('XACK', stream, group, id)
      elseif count < maxDeliveries and admits and not admits(id, entry[2], count) then
        -- It waits for its key now.
      elseif count < maxDeliveries then
        ids[#ids + 1] = id
        deliveries[id] = count + 1
        for _, field in ipairs(entry[2]) do bytes = bytes + #field end
        if isolated then alone = 1 end
      elseif isOf(dead, 'stream') and (publishes == '' or isOf(failedTo, 'stream')) and not refusedRecord(keep > 0) then
        local member, refused = joined(joinIn(metaOf(entry[2])))
        if not refused then
          deadLetters[#deadLetters + 1] = deadLetter(id, entry[2], {
            reason = 'max-deliveries', stack = '', deliveries = tostring(count), run = lastRun(entry[2], name, count),
            failure = 'delivered ' .. count .. ' times and never settled: the process died with it each time',
          })
          settleMember(member, 'failed')
          if passesOn then passesOn(entry[2], deadLetters[#deadLetters], true) end
        end
      end
    end
  end
  if #ids > 0 then
    for _, entry in ipairs(redis.call('XCLAIM', stream, group, consumer, '0', unpack(ids))) do
      claimed[#claimed + 1] = { entry[1], deliveries[entry[1]], entry[2] }
    end
  end
end

local function takeOver(room)
  for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local name, count = info[2], info[4]
    -- What waits to be run alone may stand before what need not.
    local most = room + 1000
    if isDead(name) then
      takeFrom(name, redis.call('XPENDING', stream, group, '-', '+', most, name), room)
      if #redis.call('XPENDING', stream, group, '-', '+', 1, name) == 0 then
        redis.call('XGROUP', 'DELCONSUMER', stream, group, name)
      end
    elseif mayJudge and foreignIdleMs > 0 and count > 0 and string.sub(name, 1, #prefix) ~= prefix then
      takeFrom(name, redis.call('XPENDING', stream, group, 'IDLE', foreignIdleMs, '-', '+', most, name), room)
    end
  end
  closeJoins()
end
`,
});
