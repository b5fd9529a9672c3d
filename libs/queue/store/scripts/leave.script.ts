import { defineScript, lua } from '../../../redis/index.js';

/**
 * Ends the membership of a stopping process on one stream: deletes its lease, and its consumer if nothing is pending.
 *
 * KEYS  stream, alive
 * ARGV  group, consumer
 * Reply nil
 *
 * Deleting a consumer drops its pending entries. So a consumer that still has entries stays (it has none if all were returned).
 * Without a lease it counts as dead, and other processes take over. Crash before this: the lease ends by itself. Resend: changes
 * nothing.
 */
export const leaveScript = defineScript({
  name: 'queue:leave',
  keys: ['stream', 'alive'],
  args: { group: 'text', consumer: 'text' },
  lua: lua`
redis.call('ZREM', alive, consumer)
if redis.call('EXISTS', stream) == 1 and #redis.call('XPENDING', stream, group, '-', '+', 1, consumer) == 0 then
  redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer)
end`,
  decode: () => {},
});
