import { defineScript, lua } from '../../redis/index.js';
import { BURY_LUA, FORGET_LUA, NOW_LUA } from './fragments.js';

/** Where a failed task went; `fenced` and `stale`: it was not ours to settle any more, and nothing was done. */
export type Settlement = 'retried' | 'dead' | 'fenced' | 'stale';

/**
 * Settles a run that failed: back to the end of the queue for its next attempt, or to the dead letters. While several
 * groups read the queue, each has a stream of its own for retries: the others are not to run what they have done.
 *
 * KEYS stream, retry, dead · ARGV group, consumer, id, deliveries, attempts (failed so far, this one included), meta (of the
 * entry that follows), reason ('' = retry), failure, stack · returns a {@link Settlement}.
 *
 * Fence: the entry must still be pending, with this consumer, for this delivery. A worker that was presumed dead may
 * fail long after another one took its task over: XACK by itself would not notice (it ignores who owns an entry), and
 * each such failure would add a copy of the task. Having passed the fence, XACK cannot but return 1 in the same script.
 *
 * Crash: one script, so a task is never both pending and queued again, nor neither. Duplicate, resend: the second
 * finds the entry gone and answers `stale`. Pause, reorder: a settlement that arrives late is `fenced`.
 */
export const settleFailureScript = defineScript({
  name: 'queue.settle-failure',
  keys: ['stream', 'retry', 'dead'],
  args: {
    group: 'text',
    consumer: 'text',
    id: 'text',
    deliveries: 'number',
    attempts: 'text',
    meta: 'text',
    reason: 'text',
    failure: 'bytes',
    stack: 'bytes',
  },
  lua: lua`
${NOW_LUA}${FORGET_LUA}${BURY_LUA}
local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
if not pending then return 'stale' end
if pending[2] ~= consumer or pending[4] ~= deliveries then return 'fenced' end

local entry = redis.call('XRANGE', stream, id, id)[1]
if not entry then
  redis.call('XACK', stream, group, id)
  return 'stale'
end

if reason ~= '' then
  if not isOf(dead, 'stream') then return redis.error_reply('WRONGTYPE ' .. dead .. ' is no stream') end
  bury(id, entry[2], {
    meta = meta, attempts = attempts, reason = reason, failure = failure, stack = stack, deliveries = tostring(deliveries),
  })
  return 'dead'
end

local kept = { payload = '', timestamp = '' }
local others = {}
for i = 1, #entry[2], 2 do
  local name, value = entry[2][i], entry[2][i + 1]
  if kept[name] then kept[name] = value
  elseif name ~= 'retry_count' and name ~= 'meta' then
    others[#others + 1] = name
    others[#others + 1] = value
  end
end
local home = #redis.call('XINFO', 'GROUPS', stream) == 1 and stream or retry
if not isOf(home, 'stream') then return redis.error_reply('WRONGTYPE ' .. home .. ' is no stream') end
redis.call('XACK', stream, group, id)
forget(id)
redis.call('XADD', home, '*', 'payload', kept.payload, 'timestamp', kept.timestamp,
  'retry_count', attempts, 'meta', meta, unpack(carried(others)))
return 'retried'`,
  decode: (reply) => reply as Settlement,
});
