import { defineScript, lua } from '../../../redis/index.js';
import { RELEASED } from '../queue.keys.js';
import { WAIT_MOST_MS } from './answer.fragment.js';
import { ACTIVE, AFTER, LOOK_MS } from './active.fragment.js';
import { DELAY } from './delay.fragment.js';
import { INDEX } from './index.fragment.js';
import { NOW } from './now.fragment.js';
import { IS_PARKED } from './parked.fragment.js';
import { ID_IN } from './task-id.fragment.js';
import { TELL } from './tell.fragment.js';

/** For how long the answer to a nonce is remembered. */
const NONCE_MS = 600_000;
/** For how long a key is known at most. */
export const KNOWN_MS = 7 * 24 * 3_600_000;

/** What became of a publish with a key. */
export type UniqueOutcome = 'published' | 'skipped' | 'replaced' | 'follows' | 'postponed' | 'collected';

export interface PublishedUnique {
  readonly id: string;
  readonly outcome: UniqueOutcome;
  /** In how many milliseconds the task is due, if it was published or put off; 0: at once. */
  readonly dueInMs: number;
  /** The groups that read the queue, if there are several and the mode is for one. Nothing was published. */
  readonly groups?: readonly string[];
  /** The task that waits under the key has items that were collected, which the call would drop. Nothing was published. */
  readonly isList?: true;
}

/**
 * Publishes a task under a key, unless the key's task is still there: then nothing is published, or that task is replaced, put off or
 * added to.
 *
 * KEYS  record (of the key), nonceKey, stream, delayed, bodies, alive, index, waiters (of the key)
 * ARGV  mode (skip, replace, follow-up, debounce or collect), key, handle (the id of a task without an entry), payload (to collect: the item), meta (without
 *       id), delayMs, runAtMs (-1: after delayMs), windowMs (skip: how long the key is taken, 0: until
 *       the task is settled; else: how long the task waits for more), maxWaitMs, max (items), maxBytes (of the payload), side (what
 *       the names of the queue's side keys begin with), inboxes, timestamp, waiter (skip: who waits for the end of the task, as `meta.reply` says it; '': nobody)
 * Reply {@link PublishedUnique}
 *
 * The record tells which task the key had last. Whether that task is still there is found out from the places of tasks, as an operator
 * finds one: it is delayed, or some group has it still to do. So no script that settles, moves or deletes a task has to know of keys, and
 * a task that is gone in a way of which nobody told (XTRIM, XACK of other software, an older release) does not hold its key. A
 * dead letter frees its key as well.
 *
 * To replace, or to follow up: a delayed task gets the new payload where it is. An entry of a stream cannot be changed, so a task that waits there is deleted
 * and added again, with its id, at the end. Both begin their attempts anew. A task that a worker has is left alone. Another group
 * may have run what this one has not, so the modes are for one group.
 *
 * To follow up: while a worker has the task, or while it waits for its next attempt in some place where it cannot be replaced, a new one is delayed, whose
 * frame names the one that it follows ({@link AFTER}). It is due every few seconds, and the script that moves it to the stream leaves it where it is
 * while that one is active. So it is stored before the answer, at most one waits, and no end of the other one can lose it. `queue:end-key`,
 * after a settlement, makes it due at once.
 *
 * A waiter joins the task that is there, or the new one, in the same step. So the task cannot end between: it is active, and its settlement
 * tells who waits (`answer`), or it is not, and a new one is published, whatever window the key has. Only one group may read the queue.
 *
 * What was collected is never dropped: a call that would give another payload to a task with collected items changes nothing, and says so.
 *
 * Crash: it is one script. Resend, repeat: a nonce whose publish changed something is known for ten minutes, and answers the same again.
 * Two publishers at once: the scripts run one after the other, and the second finds the task of the first. Full server: the first write
 * is XADD, ZADD or HSET, so the script is refused as a whole, or XACK or XDEL, which are allowed. Nothing after it can fail: every key was read, or its type checked, before.
 */
export const publishUniqueScript = defineScript({
  name: 'queue:publish-unique',
  keys: ['record', 'nonceKey', 'stream', 'delayed', 'bodies', 'alive', 'index', 'waiters'],
  args: {
    mode: 'text',
    key: 'text',
    handle: 'text',
    payload: 'text',
    meta: 'text',
    delayMs: 'number',
    runAtMs: 'number',
    windowMs: 'number',
    maxWaitMs: 'number',
    max: 'number',
    maxBytes: 'number',
    side: 'text',
    inboxes: 'text',
    timestamp: 'text',
    waiter: 'text',
  },
  rights: ['XADD', 'ZADD', 'HSET', 'PEXPIRE', 'SET'],
  lua: lua`
${NOW}
${IS_PARKED}
${ID_IN}
${INDEX}
${ACTIVE}
${TELL}
${DELAY}
if not mayDelay() then return redis.error_reply('WRONGTYPE ' .. delayed .. ' or ' .. bodies .. ' is something else') end
local answered = redis.call('GET', nonceKey)
if answered then
  local outcome, id = string.match(answered, '^(%a+) (.*)$')
  return { id, outcome }
end

local function answer(id, outcome, dueInMs)
  redis.call('SET', nonceKey, outcome .. ' ' .. id, 'PX', ${NONCE_MS})
  return { id, outcome, dueInMs }
end

local function note(id, untilMs, keepMs, items, after, list)
  redis.call('HSET', record, 'key', key, 'id', id, 'until', untilMs, 'first', string.format('%.0f', now), 'items', items,
    'after', after or '', 'list', list or '')
  redis.call('PEXPIRE', record, string.format('%.0f', keepMs))
end

-- An id is the text of an entry's id or of a handle of ours, so JSON needs no escapes for it.
local function withId(id)
  return '{"id":"' .. id .. '"' .. (meta == '{}' and '}' or ',' .. string.sub(meta, 2))
end

-- The values of a task's frame. With a second id, the task follows that one.
local function values(id, after)
  return { payload, timestamp, '0', withId(id), after and '${AFTER}', after }
end

local function framed(id, after)
  local body = {}
  for i, value in ipairs(values(id, after)) do body[i] = #value .. ':' .. value end
  return table.concat(body)
end

local function part(body, at)
  local digits = string.match(body, '^(%d+):', at)
  if not digits then return nil end
  local from = at + #digits + 1
  local after = from + tonumber(digits)
  return string.sub(body, from, after - 1), after
end

-- The active task that the delayed one waits for.
local function afterIn(body)
  local value, at = nil, 1
  for n = 1, 5 do
    value, at = part(body, at)
    if not at then return nil end
  end
  local id = value == '${AFTER}' and part(body, at)
  return id and isActive(id) and id or nil
end

local had = redis.call('HMGET', record, 'id', 'until', 'first', 'items', 'after', 'list')
local was = had[1]
-- The task has items that were collected. A release without the member writes another id, and leaves this one.
local isList = was and had[6] == was and mode ~= 'collect'
local due = was and redis.call('ZSCORE', delayed, was)
local body = due and redis.call('HGET', bodies, was) or ''
local after = afterIn(body)

-- The waiter waits for this task.
local function join(id)
  local process, token, ms, wanted = string.match(waiter, '^(%S+) (%S+) (%d+) (.+)$')
  if not process then return end
  redis.call('HSET', waiters, token, string.format('%s %.0f %s %s', id, now + tonumber(ms), process, wanted))
  redis.call('PEXPIRE', waiters, ${WAIT_MOST_MS})
end

if mode == 'replace' or mode == 'follow-up' or waiter ~= '' then
  local groups = redis.call('EXISTS', stream) == 1 and redis.call('XINFO', 'GROUPS', stream) or {}
  if #groups > 1 then
    local names = {}
    for i, flat in ipairs(groups) do names[i] = flat[2] end
    return { '', 'published', 0, names }
  end
  if due and waiter == '' then
    if isList then return { was, 'list' } end
    redis.call('HSET', bodies, was, framed(was, after))
    redis.call('PEXPIRE', record, ${KNOWN_MS})
    return answer(was, after and 'follows' or 'replaced', math.max(0, math.ceil(tonumber(due) - now)))
  end
  local entry = waiter == '' and was and redis.call('EXISTS', stream) == 1 and entryIn(stream, index, was)
  local group = groups[1] and groups[1][2]
  local pending = entry and group and redis.call('XPENDING', stream, group, entry, entry, 1)[1]
  if entry and toDo(stream, entry) and (not pending or pending[2] == '${RELEASED}' or isParked(pending[2])) then
    if isList then return { was, 'list' } end
    -- A script is not rolled back. Only this branch needs these rights, which a user who only publishes may lack.
    for _, command in ipairs(redis.acl_check_cmd and { 'XACK', 'XDEL' } or {}) do
      if not redis.acl_check_cmd(command, stream) then
        return redis.error_reply('NOPERM this user has no permissions to run the ' .. command .. ' command')
      end
    end
    if pending then redis.call('XACK', stream, group, entry) end
    redis.call('XDEL', stream, entry)
    unindex(index, was, entry)
    indexEntry(index, was, redis.call('XADD', stream, '*', 'payload', payload, 'timestamp', timestamp,
      'retry_count', '0', 'meta', withId(was)))
    redis.call('PEXPIRE', record, ${KNOWN_MS})
    return answer(was, 'replaced', 0)
  end
end

if mode == 'follow-up' then
  -- The task that followed was removed: the next one follows the same.
  local active = was and isActive(was) and was or had[5] and had[5] ~= '' and isActive(had[5]) and had[5]
  if active then
    delayTask(stream, handle, nil, ${LOOK_MS}, values(handle, active))
    note(handle, '', ${KNOWN_MS}, '0', active)
    return answer(handle, 'follows', ${LOOK_MS})
  end
end

if mode == 'skip' then
  local untilMs = waiter == '' and tonumber(had[2] or '')
  if untilMs and untilMs > now or was and not untilMs and isActive(was) then
    join(was)
    return { was, 'skipped' }
  end
end
if mode == 'skip' or mode == 'replace' or mode == 'follow-up' then
  if runAtMs >= 0 then delayMs = math.max(0, runAtMs - now) end
  local id = handle
  if delayMs > 0 then delayTask(stream, handle, nil, delayMs, { payload, timestamp, '0', withId(handle) })
  else id = redis.call('XADD', stream, '*', 'payload', payload, 'timestamp', timestamp, 'retry_count', '0', 'meta', meta) end
  if windowMs > 0 then note(id, string.format('%.0f', now + windowMs), windowMs, '0')
  else note(id, '', ${KNOWN_MS}, '0') end
  join(id)
  return answer(id, 'published', delayMs)
end

-- The task's payload, if it is one that has not run yet.
local function waiting()
  if not due then return nil end
  local old, second = part(body, 1)
  if not old then return nil end
  local _, third = part(body, second)
  if not third then return nil end
  return part(body, third) == '0' and old or nil
end

local old = waiting()
local items = tonumber(had[4] or '') or 0
if old and mode == 'collect' then
  local more = (old == '[]' and '[' or string.sub(old, 1, -2) .. ',') .. payload .. ']'
  if items < max and #more <= maxBytes and string.sub(old, -1) == ']' then payload = more else old = nil end
end
if old and isList then return { was, 'list' } end
if old then
  local first = tonumber(had[3])
  local at = math.min(now + windowMs, first + maxWaitMs)
  if mode == 'collect' and items + 1 >= max then at = now end
  redis.call('ZADD', delayed, string.format('%.0f', math.max(now, at)), was)
  redis.call('HSET', bodies, was, framed(was, after))
  redis.call('HSET', record, 'items', items + 1, 'after', '', 'list', mode == 'collect' and was or '')
  redis.call('PEXPIRE', record, ${KNOWN_MS})
  if redis.call('ZRANGE', delayed, 0, 0)[1] == was then tell('queue:due', stream, string.format('%.0f', math.max(0, at - now))) end
  return answer(was, mode == 'collect' and 'collected' or 'postponed', math.max(0, at - now))
end
if mode == 'collect' then payload = '[' .. payload .. ']' end
local wait = mode == 'collect' and max <= 1 and 0 or windowMs
wait = math.min(wait, maxWaitMs)
delayTask(stream, handle, nil, wait, { payload, timestamp, '0', withId(handle) })
note(handle, '', ${KNOWN_MS}, '1', nil, mode == 'collect' and handle)
return answer(handle, 'published', wait)`,
  decode: (reply): PublishedUnique => {
    const [id, outcome, dueInMs = 0, groups] = reply as [string, UniqueOutcome | 'list', number?, string[]?];
    if (outcome === 'list') return { id, outcome: 'skipped', dueInMs, isList: true };
    return { id, outcome, dueInMs, ...(groups && { groups }) };
  },
});
