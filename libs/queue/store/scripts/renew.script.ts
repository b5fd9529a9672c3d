import { defineScript, lua } from '../../../redis/index.js';
import { NOW } from './now.fragment.js';

export interface Renewal {
  /** False: the lease had ended, or there was none. Other processes may have taken over the caller's tasks. */
  readonly unbroken: boolean;
  /** The server's clock, in milliseconds. */
  readonly nowMs: number;
  /** The queue is paused. */
  readonly paused: boolean;
}

/**
 * Takes or extends a consumer's lease, and tells whether the queue is paused.
 *
 * KEYS  alive, paused
 * ARGV  consumer, leaseMs
 * Reply a {@link Renewal}
 *
 * Duplicate, resend, reorder: each call sets the end to the time of *its* execution plus the lease. Pause: a lease that ended is
 * not extended silently, because the reply says so. A lost reply may have said so too. So the caller treats the lease as broken
 * where it does not know.
 *
 * If the server's clock were set back by an hour, a process that died just before would count as alive for an hour. The caller's
 * own lease shows the step: it ends later than one lease from now. So the first renewal after the step moves all leases that end
 * that late, by the size of the step. Leases that were taken after the step end earlier, and stay.
 *
 * A full server refuses ZADD, unless the script has written before. Hence the ZREM. Without leases no process would work, and
 * only work frees memory.
 */
export const renewScript = defineScript({
  name: 'queue:renew',
  keys: ['alive', 'paused'],
  args: { consumer: 'text', leaseMs: 'number' },
  lua: lua`
${NOW}
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
return { ends and tonumber(ends) > now and 1 or 0, now, redis.call('EXISTS', paused) }`,
  decode: (reply): Renewal => {
    const [unbroken, nowMs, paused] = reply as [number, number, number];
    return { unbroken: unbroken === 1, nowMs, paused: paused === 1 };
  },
});
