import { defineScript, lua } from '../../../redis/index.js';
import { CONSUMER_PREFIX, RELEASED } from '../queue.keys.js';
import { NOW } from './now.fragment.js';

export interface RunningTasks {
  /** Tasks that living processes have, in all groups. */
  readonly running: number;
  /** Whether the queue is paused. */
  readonly paused: boolean;
}

/**
 * Counts the tasks of all groups that living processes have, for a pause that waits until nothing runs.
 *
 * KEYS  stream, alive, paused, then the stream of each group's own retries
 * ARGV  none
 * Reply {@link RunningTasks}
 *
 * Returned tasks do not run. Neither do the tasks of a process whose lease has ended: while the queue is paused, no process takes them
 * over, so waiting for them would never end. Consumers of other software hold no lease: what they have not acknowledged counts.
 * Read-only: a crash, a repeat or a reorder changes nothing. Slots: the keys of one queue.
 */
export const runningScript = defineScript({
  name: 'queue:running',
  keys: ['stream', 'alive', 'paused'],
  args: {},
  lua: lua`
${NOW}
local function runs(name)
  if name == '${RELEASED}' then return false end
  if string.sub(name, 1, ${CONSUMER_PREFIX.length}) ~= '${CONSUMER_PREFIX}' then return true end
  local ends = redis.call('ZSCORE', alive, name)
  return ends and tonumber(ends) > now
end
local running = 0
local function count(key)
  if redis.call('EXISTS', key) == 0 then return end
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', key, flat[2])) do
      if info[4] > 0 and runs(info[2]) then running = running + info[4] end
    end
  end
end
count(stream)
for i = 4, #KEYS do count(KEYS[i]) end
return { running, redis.call('EXISTS', paused) }`,
  decode: (reply): RunningTasks => {
    const [running, paused] = reply as [number, number];
    return { running, paused: paused === 1 };
  },
});
