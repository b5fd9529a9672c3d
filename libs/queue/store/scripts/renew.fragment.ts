import { defineFragment, lua } from '../../../redis/index.js';
import { NOW } from './now.fragment.js';

/**
 * `renew(alive)`: takes or extends the consumer's lease in `alive`. Returns 1 if the lease had not ended, else 0, and when
 * the first lease of another consumer ends; nil: there is none. A script may call it for several queues.
 *
 * Usually the caller's lease is there, and becomes later by the step of one renewal, and no lease ends within half of one: two commands
 * without a text of a number tell so. The result 1 then only says that there was a lease, and no end is told: the caller knows when
 * its own lease ends, and renews again before any other does. In all other cases the leases are read.
 *
 * Who renews was usually renewed longest ago, so the first two leases are read, and contain both. Only if they do not, the caller's
 * own one is looked for. Numbers are given as text, once: for each command that gets a number, Redis makes a text of it.
 *
 * If the server's clock were set back by an hour, a process that died just before would count as alive for an hour. The caller's
 * own lease shows the step: it ends later than one lease from now. So the first renewal after the step moves all leases that end
 * that late, by the size of the step. Leases that were taken after the step end earlier, and stay.
 *
 * A full server refuses ZADD, unless the script has written before. Hence the ZREM, once per script. Without leases no process
 * would work, and only work frees memory.
 */
export const RENEW = defineFragment({
  name: 'renew',
  needs: [NOW],
  locals: ['consumer', 'leaseMs'],
  lua: lua`
local hasWritten, endsText, soonText = false, string.format('%.0f', now + leaseMs), string.format('%.0f', now + leaseMs / 2)

-- When the lease of the consumer ends, and the first one of the others; nil or false: there is none.
local function ends(alive)
  local first = redis.call('ZRANGE', alive, '0', '1', 'WITHSCORES')
  if first[1] == consumer then return first[2], first[4] end
  if first[3] == consumer then return first[4], first[2] end
  return #first == 4 and redis.call('ZSCORE', alive, consumer), first[2]
end

local function renew(alive)
  if
    hasWritten
    and redis.call('ZADD', alive, 'XX', 'GT', 'CH', endsText, consumer) == 1
    and redis.call('ZCOUNT', alive, '-inf', soonText) == 0
  then return 1 end
  local own, others = ends(alive)
  if not hasWritten then
    redis.call('ZREM', alive, consumer)
    hasWritten = true
  end
  local setBack = tonumber(own or 0) - leaseMs - now
  if setBack > 0 then
    local late = redis.call('ZRANGE', alive, string.format('(%.0f', now + leaseMs), '+inf', 'BYSCORE', 'WITHSCORES')
    for i = 1, #late, 2 do
      redis.call('ZADD', alive, string.format('%.0f', tonumber(late[i + 1]) - setBack), late[i])
    end
    others = select(2, ends(alive))
  end
  redis.call('ZADD', alive, endsText, consumer)
  return own and tonumber(own) > now and 1 or 0, others and tonumber(others)
end
`,
});
