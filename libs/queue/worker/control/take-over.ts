import { channels, type TaskCancelledMessage } from '../../observe/queue.channels.js';
import { debug } from '../../observe/queue.debug.js';
import { CONSUMER_PREFIX, RELEASED } from '../../store/queue.keys.js';
import type { Reaped } from '../../store/scripts/reap.script.js';
import type { Worker } from '../worker.js';

/** The arguments of the scripts that take over the tasks of dead processes. */
export function takeOverArgs(
  { handler, keys, lease, credit, holdsIsolated, records }: Worker,
  consumer: string,
  inboxes: string,
) {
  const { queue, options, failedTo } = handler;
  return {
    ...{ group: options.group, consumer, leaseMs: lease.leaseMs },
    ...{ sinceMs: lease.unbroken.sinceMs, endsMs: lease.unbroken.endsMs, capacity: credit },
    ...{ maxDeliveries: options.maxDeliveries, alone: holdsIsolated ? 1 : 0 },
    ...{ foreignIdleMs: options.foreignIdleMs || 0, released: RELEASED, prefix: CONSUMER_PREFIX },
    publishes: failedTo === undefined ? '' : queue,
    ...{ side: keys.side, inboxes, keep: records.keeps.failed, level: records.level },
  };
}

export interface TakeOverReport {
  /** A cancelled task was dropped instead of taken over. */
  readonly onCancelled: (about: TaskCancelledMessage) => void;
  readonly log: { error(message: string): void };
}

/** Tells what was taken over, and what became a dead letter instead. */
export function reportTakeOver(
  { keys, handler, events }: Worker,
  { claimed, deadLetters, cancelled }: Pick<Reaped, 'claimed' | 'deadLetters' | 'cancelled'>,
  { onCancelled, log }: TakeOverReport,
): void {
  const { queue } = handler;
  const { group, maxDeliveries } = handler.options;
  if (claimed.length > 0) {
    debug?.(
      '%s: took over %j',
      keys.stream,
      claimed.map(({ id }) => id),
    );
  }
  const { reaped, deadLettered } = channels;
  for (const id of cancelled) {
    events.cancelled(id);
    onCancelled({ queue, group, id });
  }
  for (const id of deadLetters) events.failed(id, { attempt: 0, delayMs: 0, reason: 'max-deliveries', error: '' });
  if (claimed.length > 0 && reaped.hasSubscribers) reaped.publish({ queue, group, count: claimed.length });
  if (deadLettered.hasSubscribers) {
    for (const id of deadLetters) deadLettered.publish({ queue, group, id, reason: 'max-deliveries' });
  }
  for (const id of deadLetters)
    log.error(`task ${id} of queue '${queue}' is a dead letter: the process died with it ${maxDeliveries} times`);
}
