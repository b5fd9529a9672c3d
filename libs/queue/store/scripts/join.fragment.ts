import { defineFragment, lua } from '../../../redis/index.js';
import { FOLLOW_UP } from './follow-up.fragment.js';
import { IS_OF } from './key-type.fragment.js';

/** For how long a join is kept after its last settlement, and after the last time at which one of its tasks is due. */
export const JOIN_KEPT_MS = 30 * 24 * 3_600_000;
/** How many members one field of the record has: so many bits are exact in a number. */
const BITS = 48;

/**
 * A **join** counts how the tasks of one `publishMany` end, its members, and publishes a task when all of them have ended. Its record is
 * a hash: `total`, `sent`, `target`, `payload`, `meta`, `completed`, `failed`, `removed`, and for each 48 members a number whose
 * bits say which of them are settled. The `meta` of a member's entry names the record and the member: `"join":"<id>/<number>"`.
 *
 * - `joinIn(meta)`: the text that names record and member, or nil.
 * - `joined(text)`: the member, or nil if there is none (any more). The second result is an error, which a script returns before its
 *   first write; one that works on several tasks may leave that task where it is instead.
 * - `settleMember(member, outcome)`: counts a member as `completed`, `failed` or `removed`, unless it has been counted before. Call it
 *   only after the write by which the task has certainly left: XACK, XDEL or ZREM returned 1.
 * - `keepJoin(member, delayMs)`: the member runs again, and not before that time.
 * - `closeJoins()`: stores the counts, and publishes what follows. It is the last thing that a script calls.
 *
 * The bit of a member makes each count once: a member that is redriven, or that a second group settles as well, was counted before.
 * With its last member the record is deleted in the step that publishes the task, so it is published once. All keys are in the slot
 * of the queue: the record by its name, and the target was checked when the tasks were published.
 *
 * After `joined`, nothing here can fail, except for a lack of memory. So the script makes another write first.
 */
export const JOIN = defineFragment({
  name: 'join',
  needs: [IS_OF, FOLLOW_UP],
  locals: ['side'],
  lua: lua`
local joins = {}

local function joinIn(meta)
  if not string.find(meta, '"join"', 1, true) then return nil end
  local isJson, object = pcall(cjson.decode, meta)
  local text = isJson and type(object) == 'table' and object.join
  return type(text) == 'string' and text or nil
end

local function joinOf(record)
  if redis.call('TYPE', record).ok ~= 'hash' then return false end
  local had = redis.call('HMGET', record, 'total', 'target', 'payload', 'meta', 'completed', 'failed', 'removed')
  if not tonumber(had[1]) or not had[2] or not had[3] then return false end
  return { record = record, total = tonumber(had[1]), target = had[2], payload = had[3], meta = had[4] or '',
    completed = tonumber(had[5]) or 0, failed = tonumber(had[6]) or 0, removed = tonumber(had[7]) or 0 }
end

local function joined(text)
  local id, at = string.match(text or '', '^([%w_%-]+)/(%d+)$')
  if not id or #text > 64 then return nil end
  local record = side .. 'join:' .. id
  if joins[record] == nil then joins[record] = joinOf(record) end
  local join = joins[record]
  if not join or tonumber(at) >= join.total then return nil end
  if not isOf(join.target, 'stream') then
    return nil, redis.error_reply('WRONGTYPE ' .. join.target .. ' is no stream')
  end
  return { join = join, at = tonumber(at) }
end

local function settleMember(member, outcome)
  if not member then return end
  local join = member.join
  local field, bit = math.floor(member.at / ${BITS}), 2 ^ (member.at % ${BITS})
  local bits = tonumber(redis.call('HGET', join.record, field)) or 0
  if math.floor(bits / bit) % 2 == 1 then return end
  redis.call('HSET', join.record, field, string.format('%.0f', bits + bit))
  join[outcome] = join[outcome] + 1
  join.changed = true
end

local function keepJoin(member, delayMs)
  if member then redis.call('PEXPIRE', member.join.record, string.format('%.0f', ${JOIN_KEPT_MS} + delayMs), 'GT') end
end

local function closeJoins()
  for record, join in pairs(joins) do
    if join and join.changed then
      if join.completed + join.failed + join.removed >= join.total then
        redis.call('UNLINK', record)
        publishFollowUp(join)
      else
        redis.call('HSET', record, 'completed', join.completed, 'failed', join.failed, 'removed', join.removed)
        redis.call('PEXPIRE', record, ${JOIN_KEPT_MS}, 'GT')
      end
    end
  end
end
`,
});
