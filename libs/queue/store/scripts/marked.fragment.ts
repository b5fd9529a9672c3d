import { defineFragment, lua } from '../../../redis/index.js';

/**
 * `isMarked(id)`: whether the group's entry is marked as cancelled. `unmark(id)` deletes the mark. A key of another type
 * marks nothing, and stops no task.
 */
export const MARKED = defineFragment({
  name: 'marked',
  locals: ['cancelled', 'group'],
  lua: lua`
local function isMarked(id)
  return type(redis.pcall('ZSCORE', cancelled, id .. ' ' .. group)) == 'string'
end
local function unmark(id)
  redis.pcall('ZREM', cancelled, id .. ' ' .. group)
end
`,
});
