import { defineFragment, lua } from '../../../redis/index.js';
import { TELL } from './tell.fragment.js';

/**
 * - `pendingHere(id)`: the row of an entry, if it is pending with the caller. XCLAIM does not check the owner, and would take the entry
 *   from the process that runs it now.
 * - `returnEntry(pending)`: any process may take it at once, and no delivery is counted. Its id is in `returned` then.
 * - `tellReturned()`: the processes with the latest leases look at once.
 */
export const RETURN = defineFragment({
  name: 'return',
  needs: [TELL],
  locals: ['stream', 'group', 'consumer', 'released'],
  lua: lua`
local returned = {}
local function pendingHere(id)
  local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
  return pending and pending[2] == consumer and pending
end

local function returnEntry(pending)
  redis.call('XCLAIM', stream, group, released, '0', pending[1],
    'RETRYCOUNT', tostring(math.max(0, pending[4] - 1)), 'JUSTID')
  returned[#returned + 1] = pending[1]
end

local function tellReturned()
  if #returned > 0 then tell('queue:released', stream) end
end
`,
});
