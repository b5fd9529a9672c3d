import { defineScript, lua } from '../../../redis/index.js';
import { NOW } from './now.fragment.js';
import { RENEW } from './renew.fragment.js';
import { LEASE_USES } from './uses.fragment.js';

export interface Renewal {
  /** False: the lease had ended, or there was none. Other processes may have taken over the caller's tasks. */
  readonly unbroken: boolean;
  /** The server's clock, in milliseconds. */
  readonly nowMs: number;
  /** The queue is paused. */
  readonly paused: boolean;
  /** The features in the queue that this release does not know, as text (see `unknownUses`); undefined: none. */
  readonly unknown: string | undefined;
}

/**
 * Takes or extends a consumer's lease on one queue, and tells whether the queue is paused, and whether it has data that this
 * release does not know. It is sent when a queue is opened. Later renewals are those of all queues: `queue:renew-all`.
 *
 * KEYS  alive, paused, uses
 * ARGV  consumer, leaseMs
 * Reply a {@link Renewal}
 *
 * Duplicate, resend, reorder: each call sets the end to the time of *its* execution plus the lease. Pause: a lease that ended is
 * not extended silently, because the reply says so. A lost reply may have said so too. So the caller treats the lease as broken
 * where it does not know. Slots: the keys of one queue.
 */
export const renewScript = defineScript({
  name: 'queue:renew',
  keys: ['alive', 'paused', 'uses'],
  args: { consumer: 'text', leaseMs: 'number' },
  lua: lua`
${NOW}
${RENEW}
${LEASE_USES}
local unbroken = renew(alive)
return { unbroken, now, redis.call('EXISTS', paused), unknownUses(uses) or '' }`,
  decode: (reply): Renewal => {
    const [unbroken, nowMs, paused, unknown] = reply as [number, number, number, string];
    return { unbroken: unbroken === 1, nowMs, paused: paused === 1, unknown: unknown || undefined };
  },
});
