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
 * KEYS alive, paused · ARGV consumer, leaseMs · returns a {@link Renewal}.
 *
 * Duplicate, resend, reorder: each sets the end to *its* now plus the lease, and the server's now only grows. Pause:
 * a lease that ended is not extended silently, the reply says so. A reply that is lost may have said so: its caller
 * counts as broken whatever it does not know.
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
redis.call('ZADD', alive, string.format('%.0f', now + leaseMs), consumer)
return { ends and tonumber(ends) > now and 1 or 0, now, redis.call('EXISTS', paused) }`,
  decode: (reply): Renewal => {
    const [unbroken, nowMs, paused] = reply as [number, number, number];
    return { unbroken: unbroken === 1, nowMs, paused: paused === 1 };
  },
});
