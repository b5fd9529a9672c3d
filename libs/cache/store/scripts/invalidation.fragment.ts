import { lua } from '../../../redis/index.js';

/**
 * Tells every process that something in the cache is not what it was, so that copies in local tiers go. Stands after
 * `LEASE_LUA`, whose `frame` it uses; called by whatever invalidates, in the same step.
 *
 *   announce(sequence, channel, what, …names)
 *
 *   sequence  key of the lane's counter             channel  the lane's channel, which every process hears
 *   what      'key' | 'tag' | 'all'                  names    the keys, or tags; none for 'all'
 *
 * Inbox messages are of kind `cache:invalidated`: number, what, names. Numbers grow by one: who hears another has missed something
 * and drops everything. So does a counter that starts anew (evicted, flushed); and where it cannot be written (Redis is
 * full, and then a delete must still work) the number is `?`, which is never the next one.
 */
export const INVALIDATION_LUA = lua`
local function announce(sequence, channel, what, ...)
  local number = redis.pcall('INCR', sequence)
  if type(number) ~= 'number' then number = '?' end
  redis.call('PUBLISH', channel, frame('cache:invalidated', number, what, ...))
end
`;
