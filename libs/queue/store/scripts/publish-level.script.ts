import { defineScript, lua } from '../../../redis/index.js';
import { DELAY } from './delay.fragment.js';
import { INDEX } from './index.fragment.js';
import { IS_OF } from './key-type.fragment.js';
import { NOW } from './now.fragment.js';

/**
 * Publishes tasks to one level of a queue's priority, all or none. Before the first task, each group that reads the queue is there.
 *
 * KEYS  main (the queue's own stream), and of the level: stream, delayed, bodies, index; alive (of the queue)
 * ARGV  inboxes, timestamp, then for each task: handle (its id), payload, meta (with its id), delayMs (-1: it is not delayed), runAtMs
 *       (-1: after delayMs)
 * Reply how many are new
 *
 * Each task has an id of its own. Entries of two streams may have the same id: a search in all levels would find another task by it.
 *
 * A level has a stream of its own, and a task is deleted when all groups of its stream are done with it. A group whose processes have
 * not opened the level yet, or do not know levels, would miss the task if another group had it first. So the groups of `main` that the
 * level lacks are made here, at 0, in the step of the publish. A group that is made twice is one group.
 *
 * Crash: it is one script. Two publishers at once, or a publisher and a process that opens the level: the scripts run one after the
 * other, and the second finds the group (XGROUP CREATE of a process answers BUSYGROUP). Resend, repeat: a delayed task whose handle
 * exists is left as it is; tasks that run at once are published again, so no caller repeats it. Pause: tasks may come while
 * the queue is paused; none is read. Full server: the first write is XGROUP CREATE, XADD or ZADD, so the script is refused as a whole.
 * Nothing after it can fail: the type of every key that is written was checked. Slots: the keys of one queue.
 */
export const publishLevelScript = defineScript({
  name: 'queue:publish-level',
  keys: ['main', 'stream', 'delayed', 'bodies', 'index', 'alive'],
  args: { inboxes: 'text', timestamp: 'text' },
  lua: lua`
${IS_OF}
${NOW}
${DELAY}
${INDEX}
if not isOf(main, 'stream') then return redis.error_reply('WRONGTYPE ' .. main .. ' is no stream') end
if not isOf(stream, 'stream') then return redis.error_reply('WRONGTYPE ' .. stream .. ' is no stream') end
if not mayDelay() then return redis.error_reply('WRONGTYPE ' .. delayed .. ' or ' .. bodies .. ' is something else') end

local function groupsOf(key)
  return redis.call('EXISTS', key) == 1 and redis.call('XINFO', 'GROUPS', key) or {}
end
local known = {}
for _, row in ipairs(groupsOf(stream)) do known[row[2]] = true end
for _, row in ipairs(groupsOf(main)) do
  if not known[row[2]] then redis.call('XGROUP', 'CREATE', stream, row[2], '0', 'MKSTREAM') end
end

local fresh = 0
for i = rest + 1, #ARGV, 5 do
  local handle, payload, meta, delayMs, runAtMs = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
  if delayMs >= 0 then
    if runAtMs >= 0 then delayMs = math.max(0, runAtMs - now) end
    if delayTask(stream, handle, nil, delayMs, { payload, timestamp, '0', meta }) then fresh = fresh + 1 end
  else
    local id = redis.call('XADD', stream, '*', 'payload', payload, 'timestamp', timestamp, 'retry_count', '0', 'meta', meta)
    indexEntry(index, handle, id)
    fresh = fresh + 1
  end
end
return fresh`,
  decode: (reply) => reply as number,
});
