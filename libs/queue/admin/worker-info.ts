import { instantIn } from '../../weave/index.js';
import { consumerParts } from '../store/queue.keys.js';
import type { LivingConsumer } from '../store/scripts/workers.script.js';

/** A process that works on a queue. */
export interface QueueWorker {
  readonly host: string;
  readonly pid: number;
  /** When the process' app started, on its own clock. */
  readonly since: Date;
  /** The consumer group; undefined until the process has read for the first time. */
  readonly group: string | undefined;
  /** Tasks that the process has: running or prefetched. */
  readonly running: number;
  /** The name of the consumer in Redis. */
  readonly consumer: string;
}

export function workerInfo({ consumer, group, pending }: LivingConsumer): QueueWorker {
  const { host, pid, startedMs } = consumerParts(consumer) ?? { host: consumer, pid: 0, startedMs: 0 };
  return { host, pid, since: new Date(instantIn(startedMs)), group, running: pending, consumer };
}
