import type { RedisConnection, RedisConnections } from '../../../redis/index.js';
import { EventSender } from '../../events/event-sender.js';
import { ProgressReporter } from '../../events/progress-reporter.js';
import { WorkerEvents } from '../../events/worker-events.js';
import type { Handler } from '../../handlers/handler.registry.js';
import { RunRecords } from '../../history/run-records.js';
import { DelayedWatch } from '../../publish/delayed-watch.js';
import { ResultSender } from '../../results/result-sender.js';
import { eventsChannel, queueKeys, retryKeys, scheduleKeys, type QueueKeys } from '../../store/queue.keys.js';
import { fleetLimits } from '../admission/fleet-limits.js';
import { handlerWindows } from '../concurrency-window.js';
import type { RetryUntilConfirmed } from '../settling/retry-until-confirmed.js';
import { WorkerLease } from '../worker-lease.js';
import type { WorkerListener } from '../worker-listener.js';
import { Worker } from '../worker.js';
import { EndedKeys } from '../settling/ended-keys.js';

export interface WorkerFactoryOptions {
  readonly connections: RedisConnections;
  readonly connection: RedisConnection;
  readonly consumer: string;
  readonly leaseMs: number;
  readonly maxPayloadBytes: number;
  readonly retryUntilConfirmed: RetryUntilConfirmed;
  readonly listener: WorkerListener<Worker>;
}

/**
 * Makes the workers of handlers: one for the queue, and one for its group's own retries. The second is idle unless other groups read
 * the queue as well.
 */
export function workersOf(handlers: readonly Handler[], options: WorkerFactoryOptions): Worker[] {
  const { connections, connection, consumer, leaseMs, maxPayloadBytes, retryUntilConfirmed, listener } = options;
  const { clock, keyspace, logger: log } = connections;
  const link = connection.commands;
  const inboxes = connection.inbox.prefix;
  const windowOf = handlerWindows(clock);
  const watch = new DelayedWatch({ link, clock, log });
  connections.shutdown.onClose(() => watch.stop());
  const streams = new Set(handlers.map(({ queue }) => queueKeys(keyspace, queue).stream));
  const onDelayed = (queue: string, keys: QueueKeys, delayMs: number): void => {
    if (streams.has(keys.stream)) listener.delayed(keys.stream, delayMs);
    else watch.expect(queue, keys, delayMs);
  };
  const workers = handlers.flatMap((handler) => {
    const own = queueKeys(keyspace, handler.place);
    const records = new RunRecords({ handler, keyspace, consumer, clock });
    const shared = {
      ...{ handler, window: windowOf(handler), limits: fleetLimits(handler, keyspace, clock) },
      ...{ consumer, link, inboxes, clock, retryUntilConfirmed, listener, log, onDelayed, records },
      scheduleDueKey: scheduleKeys(keyspace, own).due,
      endedKeys: new EndedKeys({ link, keys: own, inboxes }),
    };
    const { queue: name, options: given, task } = handler;
    const sender = new EventSender({
      ...{ link, clock, channel: eventsChannel(inboxes, own), observed: own.observed },
      about: { queue: name, ...(task && { name: task.name }), group: given.group, process: connections.processId },
    });
    const make = (keys: QueueKeys, retries: Worker | undefined): Worker => {
      const { alive, paused: pausedKey, uses: usesKey } = keys;
      const { queue } = handler;
      const ordered = given.ordering !== undefined;
      const lease = new WorkerLease({ link, clock, alive, pausedKey, usesKey, consumer, leaseMs, ordered });
      const results = new ResultSender({
        ...{ link, keys, queue, group: given.group, inboxes, maxPayloadBytes, retryUntilConfirmed, log, records },
      });
      const reporter = new ProgressReporter({
        ...{ link, clock, keys, queue, group: given.group, inboxes, sender, log },
      });
      const events = new WorkerEvents({ sender, reporter, clock });
      return new Worker({ ...shared, keys, retries, lease, results, events });
    };
    const retries = make(retryKeys(keyspace, handler.place, handler.options.group), undefined);
    return [make(own, retries), retries];
  });
  connection.inbox.on('queue:observed', ([observed]) => {
    for (const { keys, events } of workers) if (keys.observed === observed) events.observed(leaseMs);
  });
  return workers;
}
