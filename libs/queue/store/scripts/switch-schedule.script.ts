import { defineScript, lua } from '../../../redis/index.js';
import { NOW } from './now.fragment.js';
import { READ_SCHEDULE, WRITE_SCHEDULE } from './schedules.fragment.js';
import { TELL } from './tell.fragment.js';

/** How long the last instant of a removed schedule is remembered. A clock that is set back by more is not promised anything. */
const REMEMBERED_MS = 86_400_000;

/** `declared`: a living process declares the schedule, so it cannot be removed. */
export type Switched = 'done' | 'unchanged' | 'unknown' | 'declared';

const ANSWERS: readonly Switched[] = ['done', 'unchanged', 'unknown', 'declared'];

/**
 * Pauses, resumes or removes one schedule.
 *
 * KEYS  stream (names the queue, is not touched), alive, schedules, states, due, removed (the key with the last instant)
 * ARGV  action (`pause`, `resume`, `remove`), id, inboxes
 * Reply {@link Switched}
 *
 * A paused schedule keeps its next instant. After `resume`, the instants of the pause are missed ones. A removed schedule leaves its
 * last instant behind for a day: a schedule with the same id publishes none at or before it, whatever the clocks. Crash: it is one
 * script. Repeat: changes nothing. Reorder: the last call stands. Full server: `pause` and `resume` are refused before they change
 * anything; `remove` begins with the instant that it leaves behind.
 */
export const switchScheduleScript = defineScript({
  name: 'queue:switch-schedule',
  keys: ['stream', 'alive', 'schedules', 'states', 'due', 'removed'],
  args: { action: 'text', id: 'text', inboxes: 'text' },
  rights: ['HSET', 'HDEL', 'PEXPIRE', 'ZADD', 'ZREM'],
  lua: lua`
${NOW}
${READ_SCHEDULE}
${WRITE_SCHEDULE}
${TELL}
local s = readSchedule(id)
if not s then return 2 end
if action == 'remove' then
  local ends = s.by ~= '-' and redis.call('ZSCORE', alive, s.by)
  if ends and tonumber(ends) > now then return 3 end
  redis.call('HSET', removed, 'last', string.format('%.0f', s.last))
  redis.call('PEXPIRE', removed, ${REMEMBERED_MS})
  redis.call('ZREM', due, id)
  redis.call('HDEL', states, id)
  redis.call('HDEL', schedules, id)
  return 0
end
if s.paused == (action == 'pause') then return 1 end
s.paused = action == 'pause'
s.orphaned = 0
writeSchedule(id, s)
if not s.paused then tell('queue:schedule-due', stream, string.format('%.0f', math.max(0, s.due - now))) end
return 0`,
  decode: (reply) => ANSWERS[reply as number] ?? 'unknown',
});
