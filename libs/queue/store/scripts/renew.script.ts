import { defineScript, lua } from '../../../redis/index.js';
import { NOW } from './now.fragment.js';

export interface Renewal {
  /** False: the lease had ended, or never was. Others may have taken over what was ours. */
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
 * Duplicate, resend, reorder: each sets the end to *its* now plus the lease. Pause: a lease that ended is not extended
 * silently, the reply says so. A reply that is lost may have said so: its caller counts as broken whatever it does not know.
 *
 * A server whose clock was set back by an hour would take a process that died just before for alive for an hour. The own
 * lease shows the step: it ends later than one lease from now. The first renewal after the step therefore moves all leases
 * that end so late, by as much. Those that were taken since then end earlier, and stay.
 *
 * A server that is full refuses ZADD, unless the script has written before: hence the ZREM. Without leases nobody
 * would work, and only work makes room.
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
