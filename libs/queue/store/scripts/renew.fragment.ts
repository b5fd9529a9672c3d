import { defineFragment, lua } from '../../../redis/index.js';
import { NOW } from './now.fragment.js';
import { QUEUE_USES } from './uses.fragment.js';

/**
 * `renew(alive, uses)`: takes or extends the consumer's lease in `alive`. Returns 1 if the lease had not ended, else 0, and the
 * features that this release does not know as text (see `unknownUses`), else ''.
 *
 * If the server's clock were set back by an hour, a process that died just before would count as alive for an hour. The caller's
 * own lease shows the step: it ends later than one lease from now. So the first renewal after the step moves all leases that end
 * that late, by the size of the step. Leases that were taken after the step end earlier, and stay.
 *
 * A full server refuses ZADD, unless the script has written before. Hence the ZREM. Without leases no process would work, and
 * only work frees memory.
 */
export const RENEW = defineFragment({
  name: 'renew',
  needs: [NOW, QUEUE_USES],
  locals: ['consumer', 'leaseMs'],
  lua: lua`
local function renew(alive, uses)
  local ends = redis.call('ZSCORE', alive, consumer)
  redis.call('ZREM', alive, consumer)
  local setBack = tonumber(ends or 0) - leaseMs - now
  if setBack > 0 then
    local late = redis.call('ZRANGE', alive, string.format('(%.0f', now + leaseMs), '+inf', 'BYSCORE', 'WITHSCORES')
    for i = 1, #late, 2 do
      redis.call('ZADD', alive, string.format('%.0f', tonumber(late[i + 1]) - setBack), late[i])
    end
  end
  redis.call('ZADD', alive, string.format('%.0f', now + leaseMs), consumer)
  return ends and tonumber(ends) > now and 1 or 0, unknownUses(uses) or ''
end
`,
});
