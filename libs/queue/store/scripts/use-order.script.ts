import { defineScript, lua } from '../../../redis/index.js';
import { NOW } from './now.fragment.js';
import { ORDER } from './uses.fragment.js';

/**
 * Notes that the tasks of a queue wait for their keys, and tells from when on they may.
 *
 * KEYS  uses, alive
 * ARGV  feature (the order, or the places or rates of keys), release (that brought it)
 * Reply milliseconds until workers may take tasks by their keys; 0: at once
 *
 * The first call writes the name and, in the same step, the instant at which the last lease ends that any process has now. Workers of
 * other releases, and workers whose handler is not ordered, start nothing after that without a renewal, and the renewal tells them to
 * leave the queue alone. Crash, resend, duplicate, two callers: the second call finds the name, and the instant stays. Reorder: as
 * the first call. A server whose clock was set back waits longer. Full server: HSET is refused, and the worker stays closed.
 * A key of another type: the script fails, and so does the look before it. Slots: the keys of one queue.
 */
export const useOrderScript = defineScript({
  name: 'queue:use-order',
  keys: ['uses', 'alive'],
  args: { feature: 'text', release: 'text' },
  lua: lua`
${NOW}
local since = redis.call('HGET', uses, feature)
if not since then
  local last = redis.call('ZREVRANGE', alive, 0, 0, 'WITHSCORES')[2]
  since = release .. ' ' .. string.format('%.0f', math.max(now, math.ceil(tonumber(last or 0))))
  redis.call('HSET', uses, feature, since)
end
return math.max(0, (tonumber(string.match(since, '(%d+)$')) or 0) - now)`,
  decode: (reply) => reply as number,
});

/**
 * Ends the order of a queue: none of its tasks waits for a key or holds one, and no process works on the queue.
 *
 * KEYS  uses, alive, stream
 * ARGV  side (what the names of the queue's side keys begin with)
 * Reply 1: the queue is not ordered any more, 0: it still is
 *
 * It is one step, so no ordered worker joins in between: it would have a lease. Entries with keys that are still in the stream run as any
 * other then. Crash, repeat, resend: the name is gone already. Slots: the keys of one queue, and the gates of its groups beside it.
 */
export const endOrderScript = defineScript({
  name: 'queue:end-order',
  keys: ['uses', 'alive', 'stream'],
  args: { side: 'text' },
  lua: lua`
${NOW}
if redis.call('ZCOUNT', alive, '(' .. string.format('%.0f', now), '+inf') > 0 then return 0 end
if redis.call('EXISTS', stream) == 1 then
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if redis.call('EXISTS', side .. 'gates:' .. flat[2]) + redis.call('EXISTS', side .. 'line:' .. flat[2]) > 0 then return 0 end
  end
end
redis.call('HDEL', uses, '${ORDER}')
return 1`,
  decode: (reply) => reply === 1,
});
