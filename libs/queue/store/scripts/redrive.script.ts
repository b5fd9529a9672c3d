import { defineScript, lua } from '../../../redis/index.js';
import { CARRIED } from './further-fields.fragment.js';
import { INDEX } from './index.fragment.js';
import { MOVES } from './move-rights.js';
import { QUEUE_USES } from './uses.fragment.js';

export interface Redriven {
  /** How many dead letters went back. */
  readonly moved: number;
  /** The groups that read the queue. Set if no dead letter went back, because the given group is none of these. */
  readonly readers: readonly string[] | undefined;
}

/**
 * Brings dead letters back into the queue.
 *
 * KEYS  dead, deadIndex, stream, index, uses, and of that group's own retries, where the stream has several groups:
 *       retryStream, retryIndex
 * ARGV  group (which is to run them; '': all groups), then for each letter its id, its task's id and the `meta` of its
 *       next entry
 * Reply {@link Redriven}
 *
 * If the group does not read the stream, nothing is changed: in the group's retries the tasks would never be read, and in the
 * stream they would run in groups that have settled them. The groups are looked up in the same step, because groups come and go.
 * If there is no group yet, the tasks wait in the stream for the first group.
 *
 * XDEL is the first write and must return 1. So each letter goes back once, even if another process brings it back or deletes it
 * at the same time. A full server allows XDEL, and then also the rest of the script. Crash, repeat: it is one script per chunk,
 * and a task that went back is no dead letter any more. The payload, the time of the first publication and a producer's own
 * fields stay; the attempts begin anew. If the group's retries have a stream of their own, the task goes there, because the other
 * groups have settled it. Newer data: nothing is moved.
 */
export const redriveScript = defineScript({
  name: 'queue:redrive',
  rights: MOVES,
  keys: ['dead', 'deadIndex', 'stream', 'index', 'uses', 'retryStream', 'retryIndex'],
  args: { group: 'text' },
  lua: lua`
${CARRIED}
${INDEX}
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
local readers = {}
local reads = group == ''
if redis.call('EXISTS', stream) == 1 then
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    readers[#readers + 1] = info[2]
    reads = reads or info[2] == group
  end
end
if #readers > 0 and not reads then return { 0, readers } end
local target = #readers > 1 and retryStream or stream
local targetIndex = #readers > 1 and retryIndex or index
local kind = redis.call('TYPE', target).ok
if kind ~= 'stream' and kind ~= 'none' then return redis.error_reply('WRONGTYPE ' .. target .. ' is not a stream') end
local moved = 0
for i = rest + 1, #ARGV, 3 do
  local letter = redis.call('XRANGE', dead, ARGV[i], ARGV[i])[1]
  if letter and redis.call('XDEL', dead, ARGV[i]) == 1 then
    local kept = { payload = '', timestamp = '', retry_count = '', meta = '' }
    -- What was added when it died begins with the last field of this name.
    local ends = #letter[2]
    for at = #letter[2] - 1, 1, -2 do
      if letter[2][at] == 'original_id' then
        ends = at - 1
        break
      end
    end
    local others = {}
    for at = 1, ends, 2 do
      if kept[letter[2][at]] then kept[letter[2][at]] = letter[2][at + 1]
      else
        others[#others + 1] = letter[2][at]
        others[#others + 1] = letter[2][at + 1]
      end
    end
    unindex(deadIndex, ARGV[i + 1], ARGV[i])
    indexEntry(targetIndex, ARGV[i + 1], redis.call('XADD', target, '*', 'payload', kept.payload,
      'timestamp', kept.timestamp, 'retry_count', '0', 'meta', ARGV[i + 2], unpack(carried(others))))
    moved = moved + 1
  end
end
return { moved }`,
  decode: (reply): Redriven => {
    const [moved, readers] = reply as [number, string[]?];
    return { moved, readers };
  },
});

/**
 * Deletes all dead letters of a queue, or all records of one kind of its history.
 *
 * KEYS  dead and deadIndex (of records: twice their stream), uses
 * ARGV  none
 * Reply how many there were
 *
 * What is added at the same time is either counted and deleted, or stays. Newer data: nothing is deleted.
 */
export const purgeScript = defineScript({
  name: 'queue:purge',
  keys: ['dead', 'deadIndex', 'uses'],
  args: {},
  lua: lua`
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
local letters = redis.call('XLEN', dead)
redis.call('UNLINK', dead, deadIndex)
return letters`,
  decode: (reply) => reply as number,
});

/**
 * Deletes single dead letters.
 *
 * KEYS  dead, deadIndex, uses
 * ARGV  for each its id and its task's id
 * Reply how many were there
 *
 * Repeat: dead letters that are not there any more are not counted, and nothing changes. Newer data: nothing is deleted.
 */
export const deleteLettersScript = defineScript({
  name: 'queue:delete-letters',
  keys: ['dead', 'deadIndex', 'uses'],
  args: {},
  lua: lua`
${INDEX}
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
local deleted = 0
for i = rest + 1, #ARGV, 2 do
  deleted = deleted + redis.call('XDEL', dead, ARGV[i])
  unindex(deadIndex, ARGV[i + 1], ARGV[i])
end
return deleted`,
  decode: (reply) => reply as number,
});
