import { defineFragment, lua } from '../../../redis/index.js';
import { PACED, PARKED } from '../queue.keys.js';
import { ID_ORDER } from './id-order.fragment.js';

/**
 * `waitingRows(name, from, to, count)`: up to `count` entries between two ids that are pending in the group `name` and wait nevertheless, oldest first: those
 * that were returned (pending with `released`), and those that wait for their key (pending with `~parked` or `~paced`). They are older
 * than all entries that the group was not given yet.
 */
export const WAITING_ROWS = defineFragment({
  name: 'waiting-rows',
  needs: [ID_ORDER],
  locals: ['stream', 'released'],
  lua: lua`
local function waitingRows(name, from, to, count)
  local rows = redis.call('XPENDING', stream, name, from, to, count, released)
  local returned = #rows
  for _, consumer in ipairs({ '${PARKED}', '${PACED}' }) do
    for _, row in ipairs(redis.call('XPENDING', stream, name, from, to, count, consumer)) do rows[#rows + 1] = row end
  end
  if #rows == returned then return rows end
  table.sort(rows, function(a, b) return isBefore(a[1], b[1]) end)
  for i = count + 1, #rows do rows[i] = nil end
  return rows
end
`,
});
