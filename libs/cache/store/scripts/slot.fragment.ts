import { lua } from '../../../redis/index.js';

/**
 * Slots at a source that takes only so many loads at once.
 *
 *   slots  zset: the tokens of loads that run there, by the end of their slots' leases
 *   queue  zset: `<token> <inbox>` of requests that wait for one, in the order they came
 *
 * A slot is held by a loader that runs, not by a lease of a key: who waits for one holds nothing. Needs `frame`, and the
 * locals `slots`, `queue`, `limit`, `nowMs`.
 */
export const SLOT_LUA = lua`
local function freeSlots()
  redis.call('ZREMRANGEBYSCORE', slots, '-inf', nowMs)
  return limit - redis.call('ZCARD', slots)
end

-- Tells up to so many of those who wait, the first first, to ask again. Dead processes are passed over.
local function wakeQueued(most)
  while most > 0 do
    local head = redis.call('ZPOPMIN', queue)
    if not head[1] then return 0 end
    local waiting, inbox = string.match(head[1], '^(%S+) (.+)$')
    if redis.call('PUBLISH', inbox, frame('cache:news', 'again', waiting, '')) > 0 then most = most - 1 end
  end
  return 1
end
`;
