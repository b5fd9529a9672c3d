import type { Clock } from '../../redis/index.js';
import type { Handler } from '../handlers/handler.registry.js';
import type { Task } from '../task/task.js';
import { channels } from './queue.channels.js';

/** Publishes the end of a run. */
export type RunEnded = (how: 'completed' | 'failed', more: object) => void;

/** Publishes that a task starts, and returns a function that publishes its end; undefined without a subscriber. */
export function runStarted(clock: Clock, handler: Handler, task: Task): RunEnded | undefined {
  const { started, completed, failed } = channels;
  if (!started.hasSubscribers && !completed.hasSubscribers && !failed.hasSubscribers) return undefined;
  const { id, attempt, deliveries } = task;
  const about = { queue: handler.queue, group: handler.options.group, id, attempt, deliveries };
  if (started.hasSubscribers) started.publish(about);
  const startedMs = clock.monoMs();
  return (how, more) => {
    if (!channels[how].hasSubscribers) return;
    channels[how].publish({ ...about, ranMs: clock.monoMs() - startedMs, ...more });
  };
}

/** How many queues the text names at most. */
const QUEUES_SHOWN = 5;

/** The running tasks of some workers, for the log. */
export function runningTasks(workers: readonly { readonly handler: Handler; readonly running: number }[]): string {
  const counts = new Map<string, number>();
  for (const { handler, running } of workers) {
    if (running > 0) counts.set(handler.queue, (counts.get(handler.queue) ?? 0) + running);
  }
  const shown = [...counts].slice(0, QUEUES_SHOWN).map(([queue, count]) => `${count} of queue '${queue}'`);
  const more = counts.size > QUEUES_SHOWN ? ` and those of ${counts.size - QUEUES_SHOWN} more queues` : '';
  return `running tasks: ${shown.join(', ')}${more}`;
}
