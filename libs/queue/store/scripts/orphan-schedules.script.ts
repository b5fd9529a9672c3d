import { defineScript, lua } from '../../../redis/index.js';
import { NOW } from './now.fragment.js';
import { READ_SCHEDULE, WRITE_SCHEDULE } from './schedules.fragment.js';

/** How many orphans one call names. */
const NAMED_MOST = 20;

export interface Orphans {
  /** How many schedules no living process has declared for `reportAfterMs`. */
  readonly count: number;
  /** The first ones. */
  readonly ids: readonly string[];
  /** Those that this call has paused. */
  readonly paused: readonly string[];
}

/**
 * Looks for schedules that no living process declares, and pauses them after `pauseAfterMs`.
 *
 * KEYS  alive, states, due
 * ARGV  reportAfterMs, pauseAfterMs (-1: never)
 * Reply {@link Orphans}
 *
 * A schedule is an orphan from the first call that finds its process dead, because a process that declares it as well takes it over
 * within some leases. Crash, repeat: the time of that first call is kept. Reorder: a process that takes the schedule over clears it.
 * Cost: linear in the number of schedules; each process calls it every ten minutes.
 */
export const orphanSchedulesScript = defineScript({
  name: 'queue:orphan-schedules',
  keys: ['alive', 'states', 'due'],
  args: { reportAfterMs: 'number', pauseAfterMs: 'number' },
  lua: lua`
${NOW}
${READ_SCHEDULE}
${WRITE_SCHEDULE}
local count, ids, paused = 0, {}, {}
local all = redis.call('HGETALL', states)
for i = 1, #all, 2 do
  local id = all[i]
  local s = readSchedule(id)
  local ends = s and s.by ~= '-' and redis.call('ZSCORE', alive, s.by)
  if s and s.by ~= '-' and not s.paused and not (ends and tonumber(ends) > now) then
    local sinceMs = s.orphaned == 0 and 0 or now - s.orphaned
    if s.orphaned == 0 then
      s.orphaned = now
      writeSchedule(id, s)
    elseif pauseAfterMs >= 0 and sinceMs >= pauseAfterMs then
      s.paused = true
      writeSchedule(id, s)
      paused[#paused + 1] = id
    elseif sinceMs >= reportAfterMs then
      count = count + 1
      if count <= ${NAMED_MOST} then ids[count] = id end
    end
  end
end
return { count, ids, paused }`,
  decode: (reply): Orphans => {
    const [found, ids, paused] = reply as [number, string[], string[]];
    return { count: found, ids, paused };
  },
});
