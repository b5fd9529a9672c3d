import { defineScript, lua } from '../../../redis/index.js';
import { DELAY } from './delay.fragment.js';
import { FOLLOW_UP } from './follow-up.fragment.js';
import { JOIN_KEPT_MS } from './join.fragment.js';
import { IS_OF } from './key-type.fragment.js';
import { KEYED } from './keyed.fragment.js';
import { NOW } from './now.fragment.js';

/** Either the ids of the tasks, in order, or the groups that read the queue: there are several, and nothing was published. */
export type MembersPublish =
  | { readonly ids: readonly string[]; readonly groups?: undefined }
  | { readonly ids?: undefined; readonly groups: readonly string[] };

/**
 * Publishes some or all tasks of a join: all of this call, or none.
 *
 * KEYS  stream, delayed, bodies, alive, join, target
 * ARGV  total (how many members the join has), from (how many of them were published before), payload and meta (of the task that
 *       follows), inboxes, timestamp, then for each task: handle (its id, if it is delayed), payload, meta (with its join, and a delayed
 *       one with its id), delayMs (0: at once), runAtMs (-1: after delayMs), ordering key ('': none)
 * Reply {@link MembersPublish}
 *
 * The first call opens the join with the number of **all** members. So nothing follows before the last member is published, and a
 * join whose publisher died between two calls never ends: nobody knows what its other members would have been. Its record expires.
 * Without members, the task that follows is published at once, and there is no record.
 *
 * Crash: it is one script. Resend, repeat: `from` is not the number that the record has, so the call is refused, and a member is
 * published once. Two publishers: each has a join of its own. Late (the record has expired between two calls): refused, for the same
 * reason. Full server: the first write is HSET or XADD, so the script is refused as a whole. Nothing after it can fail: the type of
 * every key that is written was checked. Several groups: each would settle the members by itself, so the call is refused. Slots:
 * the keys of one queue, and the target, which the caller has checked.
 */
export const publishMembersScript = defineScript({
  name: 'queue:publish-members',
  keys: ['stream', 'delayed', 'bodies', 'alive', 'join', 'target'],
  args: { total: 'number', from: 'number', payload: 'text', meta: 'text', inboxes: 'text', timestamp: 'text' },
  rights: ['XADD', 'ZADD', 'HSET', 'PEXPIRE'],
  lua: lua`
${IS_OF}
${NOW}
${DELAY}
${KEYED}
${FOLLOW_UP}
for _, key in ipairs({ stream, target }) do
  if not isOf(key, 'stream') then return redis.error_reply('WRONGTYPE ' .. key .. ' is no stream') end
end
if not mayDelay() then return redis.error_reply('WRONGTYPE ' .. delayed .. ' or ' .. bodies .. ' is something else') end
if redis.call('EXISTS', stream) == 1 then
  local groups = redis.call('XINFO', 'GROUPS', stream)
  if #groups > 1 then
    local names = {}
    for i, row in ipairs(groups) do names[i] = row[2] end
    return { 0, names }
  end
end
if total == 0 then
  publishFollowUp({ target = target, payload = payload, meta = meta, total = 0, completed = 0, failed = 0, removed = 0 })
  return { 1, {} }
end
local sent = redis.call('HGET', join, 'sent')
if (tonumber(sent) or 0) ~= from or (from == 0 and sent) then
  return redis.error_reply('ERR the join has ' .. (sent or 'no') .. ' tasks, and not ' .. from)
end

redis.call('HSET', join, 'total', total, 'sent', from + (#ARGV - rest) / 6)
if from == 0 then redis.call('HSET', join, 'target', target, 'payload', payload, 'meta', meta) end
local ids, longest = {}, 0
for i = rest + 1, #ARGV, 6 do
  local handle, delayMs, runAtMs = ARGV[i], tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
  if runAtMs >= 0 then delayMs = math.max(0, runAtMs - now) end
  longest = math.max(longest, delayMs)
  if delayMs > 0 or runAtMs >= 0 then
    delayTask(stream, handle, nil, delayMs, { ARGV[i + 1], timestamp, '0', ARGV[i + 2], unpack(keyed(ARGV[i + 5])) })
    ids[#ids + 1] = handle
  else
    ids[#ids + 1] = redis.call('XADD', stream, '*', 'payload', ARGV[i + 1], 'timestamp', timestamp,
      'retry_count', '0', 'meta', ARGV[i + 2], unpack(keyed(ARGV[i + 5])))
  end
end
local keptMs = string.format('%.0f', ${JOIN_KEPT_MS} + longest)
if from == 0 then redis.call('PEXPIRE', join, keptMs) else redis.call('PEXPIRE', join, keptMs, 'GT') end
return { 1, ids }`,
  decode: (reply): MembersPublish => {
    const [published, names] = reply as [0 | 1, string[]];
    return published === 1 ? { ids: names } : { groups: names };
  },
});
