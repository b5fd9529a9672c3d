import { defineFragment, lua } from '../../../redis/index.js';
import { NOW } from './now.fragment.js';

/**
 * `publishFollowUp(join)`: adds the task that follows when all members of a join are settled. `join` has target (a stream), payload
 * (JSON), meta, total, completed, failed and removed.
 *
 * It is called after the first write, and cannot fail: the caller has checked that the target is a stream or missing.
 */
export const FOLLOW_UP = defineFragment({
  name: 'follow-up',
  needs: [NOW],
  lua: lua`
local function publishFollowUp(join)
  local counts = string.format('{"total":%.0f,"completed":%.0f,"failed":%.0f,"removed":%.0f}',
    join.total, join.completed, join.failed, join.removed)
  redis.call('XADD', join.target, '*', 'payload', '{"payload":' .. join.payload .. ',"counts":' .. counts .. '}',
    'timestamp', string.format('%.0f', math.floor(now / 1000)), 'retry_count', '0', 'meta', join.meta)
end
`,
});
