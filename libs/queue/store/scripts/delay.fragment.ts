import { defineFragment, lua } from '../../../redis/index.js';
import { IS_OF } from './key-type.fragment.js';
import { NOW } from './now.fragment.js';
import { TELL } from './tell.fragment.js';

/**
 * `delayTask(target, handle, other, delayMs, values)`: adds a task to the delayed ones. When it is due, it goes to the stream
 * `target`. `values` is the entry that the task then becomes: payload, timestamp, retry_count, meta, then names and values of
 * further fields. If the handle is taken, `other` is appended to it; without `other` nothing is done, and the result is false.
 * If the task is due before all others, the processes that promote it get a message.
 *
 * After `mayDelay()` has returned true, nothing here can fail, except for a lack of memory. A script that must not be refused for
 * that reason makes another write first.
 */
export const DELAY = defineFragment({
  name: 'delay',
  needs: [IS_OF, NOW, TELL],
  locals: ['delayed', 'bodies'],
  lua: lua`
local function mayDelay()
  return isOf(delayed, 'zset') and isOf(bodies, 'hash')
end

local function delayTask(target, handle, other, delayMs, values)
  local due = string.format('%.0f', now + delayMs)
  while redis.call('ZADD', delayed, 'NX', due, handle) == 0 do
    if not other then return false end
    handle = handle .. '/' .. other
  end
  local body = {}
  for i, value in ipairs(values) do body[i] = #value .. ':' .. value end
  redis.call('HSET', bodies, handle, table.concat(body))
  if redis.call('ZRANGE', delayed, 0, 0)[1] == handle then
    tell('queue:due', target, string.format('%.0f', delayMs))
  end
  return true
end
`,
});
