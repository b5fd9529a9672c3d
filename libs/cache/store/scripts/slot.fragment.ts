import { FRAME, defineFragment, lua } from '../../../redis/index.js';
import { NOW } from './epoch.fragment.js';

/**
 * Slots at a source that takes a limited number of loads at once.
 *
 *   slots  zset: the tokens of loads that run there, by the end of their slots' leases
 *   queue  zset: `<token> <inbox>` of requests that wait for a slot, in the order they came
 *
 * A loader that runs holds a slot. A request that waits for a slot holds nothing.
 */
export const SLOT = defineFragment({
  name: 'slot',
  needs: [FRAME, NOW],
  locals: ['slots', 'queue', 'limit', 'oneServer'],
  lua: lua`
local function freeSlots()
  redis.call('ZREMRANGEBYSCORE', slots, '-inf', nowMs)
  return limit - redis.call('ZCARD', slots)
end

-- Tells at most that many waiting requests to ask again, in their order. Requests of dead processes are skipped. 1: that many
-- were told. Without rights on channels (an error) they count as told: they ask again by themselves. So do all in a Cluster,
-- where PUBLISH does not count the receivers at other nodes: skipping them would drop requests of live processes.
local function wakeQueued(most)
  while most > 0 do
    local head = redis.call('ZPOPMIN', queue)
    if not head[1] then return 0 end
    local waiting, inbox = string.match(head[1], '^(%S+) (.+)$')
    local heard = redis.pcall('PUBLISH', inbox, frame('cache:news', 'again', waiting, ''))
    if heard ~= 0 or not oneServer then most = most - 1 end
  end
  return 1
end
`,
});
