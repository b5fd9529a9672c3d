import { FRAME, INBOX_MAX_BYTES, defineFragment, lua } from '../../../redis/index.js';
import { NOW } from './now.fragment.js';

/** The longest time for which an answer is kept, in milliseconds: the longest wait for a result. */
export const WAIT_MOST_MS = 3_600_000;

/**
 * `answer(meta, task, kind, text)`: if the publisher of a task waits for its end, the function keeps `text` for it and tells its process.
 * `meta` is that of the task's entry. Its `reply` says who waits: `<process> <token> <ms> <group>`. What is no such text waits for nothing.
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
 */
export const ANSWER = defineFragment({
  name: 'answer',
  needs: [NOW, FRAME],
  locals: ['stream', 'group', 'side', 'inboxes'],
  lua: lua`
local function replyIn(meta)
  if not string.find(meta, '"reply"', 1, true) then return nil end
  local isJson, object = pcall(cjson.decode, meta)
  local text = isJson and type(object) == 'table' and object.reply
  if type(text) ~= 'string' then return nil end
  return string.match(text, '^(%S+) ([%w_-]+) (%d+) (.+)$')
end

-- Who waits for what this group makes of the task: the process, the token, for how many milliseconds.
local function waiterIn(meta)
  local process, token, ms, wanted = replyIn(meta)
  if not process or #process > 512 or #token ~= 22 then return end
  if group ~= wanted and (stream == side .. 'retry:' .. group or #redis.call('XINFO', 'GROUPS', stream) > 1) then return end
  return process, token, ms
end

local function answer(meta, task, kind, text)
  local process, token, ms = waiterIn(meta)
  if not process then return end
  local leftMs = math.min(tonumber(ms), ${WAIT_MOST_MS})
  local published = tonumber(string.match(task, '^(%d+)%-%d+$') or '')
  if published then leftMs = math.min(leftMs, published + leftMs - now) end
  if leftMs >= 1 then
    redis.pcall('SET', side .. 'result:' .. token, kind .. ' ' .. text, 'PX', string.format('%.0f', leftMs))
  end
  local isLarge = #text > ${INBOX_MAX_BYTES}
  redis.pcall('PUBLISH', inboxes .. process, frame('queue:result', token, isLarge and 'kept' or kind, isLarge and '' or text))
end

local function answerFailure(meta, task, how, reason, failure, attempts)
  answer(meta, task, 'failed',
    cjson.encode({ how = how, reason = reason, error = failure, attempts = tonumber(attempts) or 0 }))
end
`,
});
