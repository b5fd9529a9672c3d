import { defineFragment, defineScript, lua } from '../../../redis/index.js';
import { CONSUMER_PREFIX, RELEASED } from '../queue.keys.js';
import { NOW } from './now.fragment.js';
import { QUEUE_USES } from './uses.fragment.js';

/** A consumer of other software holds no lease. It counts as living for this many milliseconds after its last command. */
const FOREIGN_LIVES_MS = 300_000;

/** A consumer group, as Redis has it in its stream. */
export interface GroupState {
  readonly name: string;
  /** Entries that were not delivered to the group yet, counted to at most 10 000. */
  readonly waiting: number;
  /** Entries that were delivered and are not settled. */
  readonly pending: number;
  /** Consumers that live. */
  readonly living: readonly string[];
}

/** `livingOf(group)`: the names of the group's living consumers. */
const LIVING = defineFragment({
  name: 'living',
  needs: [NOW],
  locals: ['stream', 'alive'],
  lua: lua`
local function lives(name, idleMs)
  if name == '${RELEASED}' then return false end
  if string.sub(name, 1, ${CONSUMER_PREFIX.length}) ~= '${CONSUMER_PREFIX}' then return idleMs < ${FOREIGN_LIVES_MS} end
  local ends = redis.call('ZSCORE', alive, name)
  return ends and tonumber(ends) > now
end
local function livingOf(group)
  local living = {}
  for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    if lives(row[2], row[6]) then living[#living + 1] = row[2] end
  end
  return living
end
`,
});

/**
 * The groups of a stream, each with its unfinished tasks and its living consumers.
 *
 * KEYS  stream, alive
 * ARGV  none
 * Reply {@link GroupState}s
 *
 * Read-only: a crash, a repeat or a reorder changes nothing.
 */
export const groupsScript = defineScript({
  name: 'queue:groups',
  keys: ['stream', 'alive'],
  args: {},
  lua: lua`
${LIVING}
local out = {}
if redis.call('EXISTS', stream) == 0 then return out end
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local info = {}
  for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
  local waiting = tonumber(info.lag) or
    #redis.call('XRANGE', stream, '(' .. info['last-delivered-id'], '+', 'COUNT', 10000)
  out[#out + 1] = { info.name, waiting, info.pending, livingOf(info.name) }
end
return out`,
  decode: (reply): GroupState[] =>
    (reply as [string, number, number, string[]][]).map(([name, waiting, pending, living]) => ({
      name,
      waiting,
      pending,
      living,
    })),
});

/**
 * Deletes a group with its retries, unless a consumer of the group lives: this consumer would create the group again, at the
 * beginning of the stream, and run all tasks in the stream once more.
 *
 * KEYS  stream, alive, uses, of the group's own retries: retryStream, retryDelayed, retryBodies, retryIndex, and of its order:
 *       gates, line, and of what waits for rates rateLine and rateDue of both
 * ARGV  group
 * Reply whether it was there, or the consumers that live
 *
 * The consumers are looked up in the same step, so no process can join in between. Crash, repeat: it is one script, and a repeat
 * finds nothing to delete. Newer data: nothing is deleted.
 */
export const dropGroupScript = defineScript({
  name: 'queue:drop-group',
  keys: ['stream', 'alive', 'uses', 'retryStream', 'retryDelayed', 'retryBodies', 'retryIndex', 'gates', 'line'],
  args: { group: 'text' },
  lua: lua`
${LIVING}
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
local there = false
if redis.call('EXISTS', stream) == 1 then
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do there = there or flat[2] == group end
end
if there then
  local living = livingOf(group)
  if #living > 0 then return living end
  redis.call('XGROUP', 'DESTROY', stream, group)
end
if KEYS[10] then redis.call('UNLINK', unpack(KEYS, 10)) end
local retries = redis.call('UNLINK', retryStream, retryDelayed, retryBodies, retryIndex, gates, line)
return (there or retries > 0) and 1 or 0`,
  decode: (reply): boolean | readonly string[] => (Array.isArray(reply) ? (reply as string[]) : reply === 1),
});
