/** Compile-only: what `subscribeSluice` knows of each channel. */
import { LOCK_CHANNELS, REDIS_CHANNELS, subscribeSluice, type LockLossReason } from '../../libs/sluice/index.js';

declare function use(...used: unknown[]): void;

export const stops: (() => void)[] = [
  subscribeSluice('sluice:lock:lost', (message) => {
    const reason: LockLossReason = message.reason;
    use(reason, message.name.length, message.heldMs.toFixed());
  }),
  subscribeSluice(LOCK_CHANNELS.timeout, ({ holder }, channel: 'sluice:lock:timeout') => {
    use(holder?.owner, channel);
  }),
  subscribeSluice('sluice:queue:dead-lettered', ({ queue, reason }) => {
    use(queue.length, reason.length);
  }),
  subscribeSluice('sluice:cache:hit', ({ from }) => {
    use(from === 'stale');
  }),
  subscribeSluice(REDIS_CHANNELS.refusing, ({ refusal }) => {
    use(refusal === 'OOM');
  }),
  // @ts-expect-error there is no such channel
  subscribeSluice('sluice:lock:found', () => {}),
  // @ts-expect-error a published task has no reason
  subscribeSluice('sluice:queue:published', ({ reason }) => {
    use(reason);
  }),
];
