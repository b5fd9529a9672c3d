import { defineScript, lua } from '../../../redis/index.js';
import { BODY_META } from './body-meta.fragment.js';
import { INDEX } from './index.fragment.js';
import { JOIN } from './join.fragment.js';
import { JOIN_WRITES } from './move-rights.js';
import { IS_PARKED } from './parked.fragment.js';
import { QUEUE_USES } from './uses.fragment.js';

/**
 * Removes a waiting task from its stream, unless a worker has it.
 *
 * KEYS  stream, index, uses
 * ARGV  released, id (of the entry), task (its id), side (see `join.fragment.ts`)
 * Reply 1 if it was removed, else 0
 *
 * Every group is checked: if the task is with a worker of one group, that worker runs it, and its settlement must find the entry.
 * A returned task is acknowledged for its owner, which is no process. It is one script, so the task is not delivered in between.
 * If the task is a member of a join, it is counted there as removed.
 * Repeat: finds nothing. Newer data: nothing is removed.
 */
export const removeWaitingScript = defineScript({
  name: 'queue:remove-waiting',
  keys: ['stream', 'index', 'uses'],
  args: { released: 'text', id: 'text', task: 'text', side: 'text' },
  rights: ['XACK', 'XDEL', ...JOIN_WRITES],
  lua: lua`
${INDEX}
${IS_PARKED}
${JOIN}
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
if redis.call('EXISTS', stream) == 0 then return 0 end
local groups = {}
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local pending = redis.call('XPENDING', stream, flat[2], id, id, 1)[1]
  if pending then
    if pending[2] ~= released and not isParked(pending[2]) then return 0 end
    groups[#groups + 1] = flat[2]
  end
end
local member
for _, entry in ipairs(redis.call('XRANGE', stream, id, id)) do
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'meta' then
      member, refused = joined(joinIn(entry[2][i + 1]))
      if refused then return refused end
    end
  end
end
for _, name in ipairs(groups) do redis.call('XACK', stream, name, id) end
unindex(index, task, id)
if redis.call('XDEL', stream, id) == 0 then return 0 end
settleMember(member, 'removed')
closeJoins()
return 1`,
  decode: (reply) => reply === 1,
});

/**
 * Removes a task from the delayed ones.
 *
 * KEYS  delayed, bodies, uses
 * ARGV  handle, side (see `join.fragment.ts`)
 * Reply 1 if it was removed, else 0
 *
 * Promotion and removal are one script each: the one that comes second finds nothing. Newer data: nothing is removed. If the task is a
 * member of a join, it is counted there as removed.
 */
export const removeDelayedScript = defineScript({
  name: 'queue:remove-delayed',
  keys: ['delayed', 'bodies', 'uses'],
  args: { handle: 'text', side: 'text' },
  rights: ['ZREM', 'HDEL', ...JOIN_WRITES],
  lua: lua`
${BODY_META}
${JOIN}
${QUEUE_USES}
local refused = newerData(uses)
if refused then return refused end
local member, wrong = joined(joinIn(metaOfBody(redis.call('HGET', bodies, handle) or '')))
if wrong then return wrong end
if redis.call('ZREM', delayed, handle) == 0 then return 0 end
redis.call('HDEL', bodies, handle)
settleMember(member, 'removed')
closeJoins()
return 1`,
  decode: (reply) => reply === 1,
});
