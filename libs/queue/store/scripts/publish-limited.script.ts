import { defineScript, lua } from '../../../redis/index.js';
import { DELAY } from './delay.fragment.js';
import { IS_OF } from './key-type.fragment.js';
import { KEYED } from './keyed.fragment.js';
import { NOW } from './now.fragment.js';

/** Either the ids of the tasks, in order, or how many tasks the queue has: then it has no room, and nothing was published. */
export type LimitedPublish =
  | { readonly ids: readonly string[]; readonly length?: undefined }
  | { readonly ids?: undefined; readonly length: number };

/**
 * Publishes tasks, all or none, if the queue then has at most `limit` tasks.
 *
 * KEYS  stream, delayed, bodies, alive
 * ARGV  limit, side (what the names of the queue's side keys begin with), inboxes, timestamp, then for each task: handle (its id, if
 *       it is delayed), payload, meta (a delayed one has its id in it), delayMs (0: at once), runAtMs (-1: after delayMs), ordering
 *       key ('': none)
 * Reply {@link LimitedPublish}
 *
 * The length is counted anew each time: what is in the stream (it waits, or is with a worker), what is delayed, and the own retries of
 * each group. A counter could drift; this cannot. With several groups, a task counts until all of them are done with it.
 * Only publishes look at the length. Retries, promotions, schedules, redrives and other clients add tasks in any case: a task that
 * there is already is never refused. So the queue may be longer than `limit`; a publish only never makes it so.
 *
 * Two publishers at once: the scripts run one after the other, and the second counts the tasks of the first. Crash: it is one script.
 * Resend, repeat: tasks that run at once are published again, as by XADD, so no caller repeats it. Full server: the first write is XADD or
 * ZADD, so the script is refused as a whole. Nothing after it can fail: the type of every key that is written was checked.
 */
export const publishLimitedScript = defineScript({
  name: 'queue:publish-limited',
  keys: ['stream', 'delayed', 'bodies', 'alive'],
  args: { limit: 'number', side: 'text', inboxes: 'text', timestamp: 'text' },
  rights: ['XADD', 'ZADD', 'HSET'],
  lua: lua`
${IS_OF}
${NOW}
${DELAY}
${KEYED}
if not isOf(stream, 'stream') then return redis.error_reply('WRONGTYPE ' .. stream .. ' is no stream') end
if not mayDelay() then return redis.error_reply('WRONGTYPE ' .. delayed .. ' or ' .. bodies .. ' is something else') end
local length = redis.call('XLEN', stream) + redis.call('ZCARD', delayed)
if redis.call('EXISTS', stream) == 1 then
  for _, row in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    length = length + redis.call('XLEN', side .. 'retry:' .. row[2]) + redis.call('ZCARD', side .. 'delayed:' .. row[2])
  end
end
if length + (#ARGV - rest) / 6 > limit then return length end

local ids = {}
for i = rest + 1, #ARGV, 6 do
  local handle, payload, meta, delayMs, runAtMs = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
  if runAtMs >= 0 then delayMs = math.max(0, runAtMs - now) end
  if delayMs > 0 or runAtMs >= 0 then
    delayTask(stream, handle, nil, delayMs, { payload, timestamp, '0', meta, unpack(keyed(ARGV[i + 5])) })
    ids[#ids + 1] = handle
  else
    ids[#ids + 1] = redis.call('XADD', stream, '*', 'payload', payload, 'timestamp', timestamp, 'retry_count', '0', 'meta', meta,
      unpack(keyed(ARGV[i + 5])))
  end
end
return ids`,
  decode: (reply): LimitedPublish =>
    typeof reply === 'number' ? { length: reply } : { ids: reply as readonly string[] },
});
