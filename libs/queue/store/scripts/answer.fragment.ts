import { FRAME, INBOX_MAX_BYTES, defineFragment, lua } from '../../../redis/index.js';
import { NOW } from './now.fragment.js';

/** The longest time for which an answer is kept, in milliseconds: the longest wait for a result. */
export const WAIT_MOST_MS = 3_600_000;

/**
 * `answer(meta, task, kind, text)`: if publishers of a task wait for its end, the function keeps `text` for them and tells their processes.
 * `meta` is that of the task's entry. Its `reply` says who waits: `<process> <token> <ms> <group>`. What is no such text waits for nothing.
 * Further ones may have joined a task that has a `key`: `<side>waiters:<digest>` has `<task> <until> <process> <group>` by token. Whoever
 * was answered is deleted there.
 *
 * The message is of kind `queue:result`: token, kind, text. A text of more than 64 kB is only announced (kind `kept`), and read. The
 * same text is in `<side>result:<token>`, as `<kind> <text>`, until the wait is over: the message may be lost. The task's id begins with
 * the server's time of its publication, unless it was delayed. So a result that comes after the wait is not kept.
 *
 * While several groups read the queue, only the outcome of the group in `reply` counts. If there is one group, its outcome counts,
 * whatever its name is. A group's own retries exist only beside other groups.
 *
 * It is called after the acknowledgement, in the same step, and cannot fail: a result that cannot be kept or told ends the wait at its
 * time, and never concerns the task. So a waiter gets one answer at most, that of the run which settled the task.
 *
 * `eachWaiter(meta, task, visit)` calls `visit(process, token, leftMs)` for each of them, and deletes nobody.
 */
export const ANSWER = defineFragment({
  name: 'answer',
  needs: [NOW, FRAME],
  locals: ['stream', 'group', 'side', 'inboxes'],
  lua: lua`
-- What meta says of who waits: the texts of its reply and its key.
local function waitingIn(meta)
  if not string.find(meta, '"reply"', 1, true) and not string.find(meta, '"key"', 1, true) then return nil end
  local isJson, object = pcall(cjson.decode, meta)
  if not isJson or type(object) ~= 'table' then return nil end
  local key = type(object.key) == 'string' and string.match(object.key, '^[%w_-]+$')
  return type(object.reply) == 'string' and object.reply, key and #key == 22 and side .. 'waiters:' .. key
end

-- Whether the outcome of this group counts for who wants that of another one.
local function isMeant(wanted)
  return group == wanted or stream ~= side .. 'retry:' .. group and #redis.call('XINFO', 'GROUPS', stream) <= 1
end

local function eachWaiter(meta, task, visit)
  local reply, waiters = waitingIn(meta)
  local process, token, ms, wanted = string.match(reply or '', '^(%S+) ([%w_-]+) (%d+) (.+)$')
  if process and #process <= 512 and #token == 22 and isMeant(wanted) then
    local leftMs = math.min(tonumber(ms), ${WAIT_MOST_MS})
    local published = tonumber(string.match(task, '^(%d+)%-%d+$') or '')
    if published then leftMs = math.min(leftMs, published + leftMs - now) end
    visit(process, token, leftMs)
  end
  -- A key of another type has no fields.
  local joined = waiters and redis.pcall('HGETALL', waiters) or {}
  for i = 1, #joined, 2 do
    local id, untilMs, inbox, meant = string.match(joined[i + 1], '^(%S+) (%d+) (%S+) (.+)$')
    if id == task and isMeant(meant) then visit(inbox, joined[i], tonumber(untilMs) - now, waiters) end
  end
end

local function answer(meta, task, kind, text)
  local isLarge = #text > ${INBOX_MAX_BYTES}
  eachWaiter(meta, task, function(process, token, leftMs, waiters)
    if leftMs >= 1 then
      redis.pcall('SET', side .. 'result:' .. token, kind .. ' ' .. text, 'PX', string.format('%.0f', leftMs))
    end
    redis.pcall('PUBLISH', inboxes .. process, frame('queue:result', token, isLarge and 'kept' or kind, isLarge and '' or text))
    if waiters then redis.pcall('HDEL', waiters, token) end
  end)
end

local function answerFailure(meta, task, how, reason, failure, attempts)
  answer(meta, task, 'failed',
    cjson.encode({ how = how, reason = reason, error = failure, attempts = tonumber(attempts) or 0 }))
end
`,
});
