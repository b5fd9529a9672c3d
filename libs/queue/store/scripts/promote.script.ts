import { defineScript, lua } from '../../../redis/index.js';
import { ACTIVE, AFTER, LOOK_MS } from './active.fragment.js';
import { IS_OF } from './key-type.fragment.js';
import { MOVES } from './move-rights.js';
import { NOW } from './now.fragment.js';
import { INDEX } from './index.fragment.js';
import { ID_IN } from './task-id.fragment.js';
import { QUEUE_USES } from './uses.fragment.js';

/** How many bytes one call moves at most, plus one task. A reader that waits for the stream gets all of them in one reply. */
const BODY_BYTES = 4 * 2 ** 20;

export interface Promoted {
  readonly count: number;
  /** Milliseconds until the next task is due, 0 if it is due already; undefined: there is none. */
  readonly nextMs: number | undefined;
  /** Handles whose body was missing or unreadable. These tasks are dead letters now. */
  readonly broken: string[];
  /** Nothing was moved, because a Sluice worker lives and will move the tasks. */
  readonly isWorkedOn: boolean;
}

/**
 * Moves tasks that are due from the delayed ones to the stream, at most `limit` tasks and some megabytes, the earliest first.
 *
 * KEYS  stream, delayed, bodies, dead, index, deadIndex, alive, uses
 * ARGV  limit, unworked (1: only if no consumer of ours lives), side (what the names of the queue's side keys begin with)
 * Reply {@link Promoted}
 *
 * A task that follows another one (see {@link AFTER}) is not moved while that one is active, and is looked at again after
 * some seconds. So it starts however the other one ends, and whoever told of it or did not: the message at the end only saves time.
 *
 * Duplicate, two callers at once: the scripts run one after the other, and the second does not find the tasks that the first has
 * moved. Crash, resend: it is one script, so a task is in one place before and after it; a repeat moves the next tasks, which are
 * due as well. Reorder: only the server's clock decides what is due. Full server: the first write is ZREM. A full server allows
 * it, and then also the rest of the script. Moving takes no more memory than it frees. Nothing after the first write can fail,
 * because the types of the keys are checked, and the bodies are read, before it. Newer data: nothing is moved.
 */
export const promoteScript = defineScript({
  name: 'queue:promote',
  rights: MOVES,
  keys: ['stream', 'delayed', 'bodies', 'dead', 'index', 'deadIndex', 'alive', 'uses'],
  args: { limit: 'number', unworked: 'number', side: 'text' },
  lua: lua`
${NOW}
${IS_OF}
${ID_IN}
${INDEX}
${ACTIVE}
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
local head = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
if #head == 0 then return { 0, -1, {} } end
if unworked == 1 and redis.call('ZCOUNT', alive, '(' .. string.format('%.0f', now), '+inf') > 0 then
  return { 0, -1, {}, 1 }
end
local nextMs = math.ceil(tonumber(head[2]) - now)
if nextMs > 0 then return { 0, nextMs, {} } end

for _, key in ipairs({ stream, dead }) do
  if not isOf(key, 'stream') then return redis.error_reply('WRONGTYPE ' .. key .. ' is not a stream') end
end
local handles = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, limit)
local found, bytes = {}, 0
for i = 1, #handles do
  if bytes < ${BODY_BYTES} then
    found[i] = redis.call('HGET', bodies, handles[i])
    bytes = bytes + #(found[i] or '')
  else handles[i] = nil end
end

-- The frame's values; nil if it is none.
local function read(body)
  local values, at = {}, 1
  while at <= #body do
    -- Digits alone: a negative length would lead backwards, and never end.
    local digits = string.match(body, '^(%d+):', at)
    local from = digits and at + #digits + 1
    local after = from and from + tonumber(digits)
    if not after or after > #body + 1 then return nil end
    values[#values + 1] = string.sub(body, from, after - 1)
    at = after
  end
  if #values >= 4 and #values % 2 == 0 and #values < 7900 then return values end
end

local entries, held, gone = {}, {}, {}
for i, handle in ipairs(handles) do
  local values = found[i] and read(found[i]) or false
  if values and values[5] == '${AFTER}' then
    held[i] = isActive(values[6])
    table.remove(values, 5)
    table.remove(values, 5)
  end
  entries[i] = values
  if not held[i] then gone[#gone + 1] = handle end
end

redis.call('ZREM', delayed, unpack(handles))
if #gone > 0 then redis.call('HDEL', bodies, unpack(gone)) end
local broken = {}
for i, handle in ipairs(handles) do
  local values = entries[i]
  if held[i] then
    redis.call('ZADD', delayed, string.format('%.0f', now + ${LOOK_MS}), handle)
  elseif values then
    local id = redis.call('XADD', stream, '*', 'payload', values[1], 'timestamp', values[2],
      'retry_count', values[3], 'meta', values[4], unpack(values, 5))
    indexEntry(index, idIn(values[4]) or id, id)
  else
    broken[#broken + 1] = handle
    indexEntry(deadIndex, handle, redis.call('XADD', dead, '*', 'payload', found[i] or '', 'timestamp', '',
      'retry_count', '0', 'meta', '',
      'original_id', handle, 'reason', 'bad-body', 'error', 'no readable entry in ' .. bodies, 'stack', '',
      'attempts', '0', 'deliveries', '0', 'group', '', 'failed_at', string.format('%.0f', math.floor(now / 1000))))
  end
end

head = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
nextMs = #head == 0 and -1 or math.max(0, math.ceil(tonumber(head[2]) - now))
return { #gone - #broken, nextMs, broken }`,
  decode: (reply): Promoted => {
    const [count, nextMs, broken, isWorkedOn] = reply as [number, number, string[], 1?];
    return { count, nextMs: nextMs < 0 ? undefined : nextMs, broken, isWorkedOn: isWorkedOn === 1 };
  },
});
