import { FRAME, defineScript, lua } from '../../../redis/index.js';
import { CONSUMER_PREFIX, RELEASED } from '../queue.keys.js';
import { GROUP } from './group.fragment.js';
import { ID_ORDER } from './id-order.fragment.js';
import { IS_OF } from './key-type.fragment.js';
import { NOW } from './now.fragment.js';
import { QUEUE_USES } from './uses.fragment.js';

/** For how long marks are kept after the last look at them: they are looked at with every renewal. */
const KEPT_MS = 7 * 24 * 3_600_000;

/**
 * Marks a task that a worker has as cancelled, and tells the worker.
 *
 * KEYS  stream, cancelled, uses
 * ARGV  group, id (of the entry), inboxes
 * Reply 1: it is marked, 0: the group does not have the task any more
 *
 * The mark decides, and not the message: it is one member per entry and group. A renewal tells every process that there are marks, so a
 * lost message costs a third of a lease. A failure of a marked task is settled by dropping the task, and a marked task of a
 * dead process is dropped and not run again: both in the script that settles or takes over. A success is a success, and leaves the mark
 * behind. `queue:cancellations` deletes it.
 *
 * Crash: it is one script. Repeat, resend: the same mark, and the message again. Reorder: the message names the entry, and an entry's id
 * is never used again. A task that moves to another entry meanwhile (its run has just failed) is not marked: the caller
 * looks for it again. Full server: ZADD is refused, and nothing has changed. Newer data: nothing is marked. Slots: the keys of one queue.
 */
export const cancelScript = defineScript({
  name: 'queue:cancel',
  keys: ['stream', 'cancelled', 'uses'],
  args: { group: 'text', id: 'text', inboxes: 'text' },
  lua: lua`
${NOW}
${FRAME}
${GROUP}
${ID_ORDER}
${IS_OF}
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
if not isOf(cancelled, 'zset') then return redis.error_reply('WRONGTYPE ' .. cancelled .. ' is no sorted set') end
local info = theGroup(group)
if not info or #redis.call('XRANGE', stream, id, id) == 0 then return 0 end
local pending = redis.call('XPENDING', stream, info.name, id, id, 1)[1]
-- What the group was given, and does not have any more, it has settled. What it was not given is dropped when it is.
if not pending and not isBefore(info['last-delivered-id'], id) then return 0 end
redis.call('ZADD', cancelled, string.format('%.0f', now), id .. ' ' .. info.name)
redis.call('PEXPIRE', cancelled, ${KEPT_MS})
local name = pending and pending[2]
if name and name ~= '${RELEASED}' and string.sub(name, 1, ${CONSUMER_PREFIX.length}) == '${CONSUMER_PREFIX}' then
  redis.pcall('PUBLISH', inboxes .. string.sub(name, ${CONSUMER_PREFIX.length + 1}),
    frame('queue:cancelled', stream, info.name, id))
end
return 1`,
  decode: (reply) => reply === 1,
});

export interface Cancellations {
  /** The entries that are pending with the caller. */
  readonly ids: readonly string[];
  /** Where the next call begins; undefined: this was the last part. */
  readonly next: number | undefined;
}

/**
 * Tells which of the entries that a consumer has are marked as cancelled, and deletes the marks of entries that are settled.
 *
 * KEYS  stream, cancelled
 * ARGV  group, consumer, from (how many marks to leave out), count (how many to look at)
 * Reply {@link Cancellations}
 *
 * A mark is needed while its group has the entry, or is still to get it. Duplicate, two callers, crash, resend, reorder: only marks are
 * deleted that mean nothing any more, and entries' ids are never used again. Slots: the keys of one queue.
 */
export const cancellationsScript = defineScript({
  name: 'queue:cancellations',
  keys: ['stream', 'cancelled'],
  args: { group: 'text', consumer: 'text', from: 'number', count: 'number' },
  lua: lua`
${ID_ORDER}
local marks = redis.call('ZRANGE', cancelled, from, from + count - 1)
local last = {}
if redis.call('EXISTS', stream) == 1 then
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    for i = 1, #flat, 2 do
      if flat[i] == 'last-delivered-id' then last[flat[2]] = flat[i + 1] end
    end
  end
end
local ids, left = {}, #marks
for _, mark in ipairs(marks) do
  local id, name = string.match(mark, '^(%d+%-%d+) (.*)$')
  local pending = id and last[name] and redis.call('XPENDING', stream, name, id, id, 1)[1]
  if pending then
    if name == group and pending[2] == consumer then ids[#ids + 1] = id end
  elseif not id or not last[name] or not isBefore(last[name], id) or #redis.call('XRANGE', stream, id, id) == 0 then
    redis.call('ZREM', cancelled, mark)
    left = left - 1
  end
end
redis.call('PEXPIRE', cancelled, ${KEPT_MS})
return { #marks < count and -1 or from + left, ids }`,
  decode: (reply): Cancellations => {
    const [next, ids] = reply as [number, string[]];
    return { ids, next: next < 0 ? undefined : next };
  },
});
