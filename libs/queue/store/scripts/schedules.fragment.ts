import { defineFragment, lua } from '../../../redis/index.js';
import { INDEX } from './index.fragment.js';
import { NOW } from './now.fragment.js';

/** `definitionOf(id)`: the spec and the payload of a schedule; nil if there is none. They are stored as `<length of spec>:<spec><payload>`. */
export const DEFINITION = defineFragment({
  name: 'definition',
  locals: ['schedules'],
  lua: lua`
local function definitionOf(id)
  local text = redis.call('HGET', schedules, id)
  local digits = text and string.match(text, '^(%d+):')
  local from = digits and #digits + 2
  local after = from and from + tonumber(digits)
  if not after or after > #text + 1 then return nil end
  return string.sub(text, from, after - 1), string.sub(text, after)
end
`,
});

/** How long a state is at most, in bytes. A consumer's name is far shorter. */
const STATE_BYTES = 2_048;

/**
 * `readSchedule(id)`: the state of a schedule, as a table; nil if there is none, or if it is not readable.
 *
 * It is stored as `<fingerprint> <next> <due> <last> <paused> <behind> <started> <orphaned> <by>`. `by` is the consumer that
 * declared the schedule, or `-`; `started` is when its process started, and `orphaned` since when no process declares it (0: not so).
 * All times are milliseconds on the server's clock.
 */
export const READ_SCHEDULE = defineFragment({
  name: 'read-schedule',
  locals: ['states'],
  lua: lua`
local function readSchedule(id)
  local text = redis.call('HGET', states, id)
  if not text or #text > ${STATE_BYTES} then return nil end
  local fingerprint, next, due, last, paused, behind, started, orphaned, by =
    string.match(text, '^(%S+) (%d+) (%d+) (%d+) ([01]) (%d+) (%d+) (%d+) (.+)$')
  if not fingerprint then return nil end
  return {
    fingerprint = fingerprint, next = tonumber(next), due = math.max(tonumber(due), tonumber(next)), last = tonumber(last), paused = paused == '1',
    behind = tonumber(behind), started = tonumber(started), orphaned = tonumber(orphaned), by = by,
  }
end
`,
});

/** `writeSchedule(id, state)`: stores a state, and when the schedule is due. */
export const WRITE_SCHEDULE = defineFragment({
  name: 'write-schedule',
  locals: ['states', 'due'],
  lua: lua`
local function writeSchedule(id, s)
  redis.call('HSET', states, id, string.format('%s %.0f %.0f %.0f %s %.0f %.0f %.0f %s',
    s.fingerprint, s.next, s.due, s.last, s.paused and '1' or '0', s.behind, s.started, s.orphaned, s.by))
  if s.paused then redis.call('ZREM', due, id)
  else redis.call('ZADD', due, string.format('%.0f', s.due), id) end
end
`,
});

/** `publishTask(task, payload)`: adds a task with this id to the stream. */
export const PUBLISH_TASK = defineFragment({
  name: 'publish-task',
  needs: [NOW, INDEX],
  locals: ['stream', 'index'],
  lua: lua`
local function publishTask(task, payload)
  local entry = redis.call('XADD', stream, '*', 'payload', payload, 'timestamp', string.format('%.0f', math.floor(now / 1000)),
    'retry_count', '0', 'meta', '{"id":' .. cjson.encode(task) .. '}')
  indexEntry(index, task, entry)
end
`,
});

/** `publishInstant(id, instant, payload)`: adds the task of an instant of a schedule. */
export const PUBLISH_INSTANT = defineFragment({
  name: 'publish-instant',
  needs: [PUBLISH_TASK],
  lua: lua`
local function publishInstant(id, instant, payload)
  publishTask(id .. '@' .. string.format('%.0f', instant), payload)
end
`,
});
