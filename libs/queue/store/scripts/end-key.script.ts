import { defineScript, lua } from '../../../redis/index.js';
import { ACTIVE, AFTER } from './active.fragment.js';
import { INDEX } from './index.fragment.js';
import { MOVES } from './move-rights.js';
import { NOW } from './now.fragment.js';
import { ID_IN } from './task-id.fragment.js';
import { TELL } from './tell.fragment.js';

/** What became of the key of a task that was settled. `kept`: nothing was changed. */
export type EndedKey = 'kept' | 'forgotten' | 'followed';

/**
 * After a settlement of a task that was published under a key: makes the task due that follows it, or else deletes the key's record, so that
 * it takes no memory for seven days.
 *
 * KEYS  record, stream, delayed, bodies, index, deadIndex, alive
 * ARGV  id (of the task), side (what the names of the queue's side keys begin with), inboxes
 * Reply {@link EndedKey}
 *
 * Nothing depends on whether this runs, or when: a record whose task is gone holds no key, and what follows a task is looked at every few
 * seconds. It only saves memory and time. A task that is tried again, or that another group has still to do, is active, and
 * changes nothing. A record with a window says how long the key is taken, and stays; and one whose task is a dead letter, so that it is found
 * by the key.
 *
 * Crash: it is one script. Repeat, resend, two groups at once: the second finds the other task due, or the record gone. Late: what follows
 * is recognised by its frame, which names the task. When it rests before a retry of its own, the frame does not. Full server:
 * ZADD is refused, and nothing has changed. Newer data: only a due time is changed, as `queue:publish-unique` does. Slots: the keys of one queue.
 */
export const endKeyScript = defineScript({
  name: 'queue:end-key',
  rights: MOVES,
  keys: ['record', 'stream', 'delayed', 'bodies', 'index', 'deadIndex', 'alive'],
  args: { id: 'text', side: 'text', inboxes: 'text' },
  lua: lua`
${NOW}
${ID_IN}
${INDEX}
${ACTIVE}
${TELL}
local had = redis.call('HMGET', record, 'id', 'until', 'after')
local last = had[1]
if last ~= id and had[3] ~= id or had[2] ~= '' or isActive(id) then return 'kept' end
if last == id then
  if #indexed(deadIndex, id) > 0 then return 'kept' end
  redis.call('DEL', record)
  return 'forgotten'
end
local ending = '${AFTER.length}:${AFTER}' .. #id .. ':' .. id
if string.sub(redis.call('HGET', bodies, last) or '', -#ending) ~= ending then return 'kept' end
redis.call('ZADD', delayed, 'XX', 'LT', string.format('%.0f', now), last)
tell('queue:due', stream, '0')
return 'followed'`,
  decode: (reply) => reply as EndedKey,
});
