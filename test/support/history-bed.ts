import type {
  FinishedTask,
  HandlerOptions,
  QueueDefinition,
  SluiceQueueModuleOptions,
  Task,
} from 'nestjs-sluice/queue';
import type { QueueApp } from './queue-app.js';
import { QueueBed } from './queue-bed.js';
import { until } from './until.js';

/** What the queue `tasks` keeps, unless a spec says otherwise. */
const KEPT = { completed: 100, failed: 100 };

/** Apps whose queue `tasks` has a history. */
export class HistoryBed extends QueueBed {
  /** A process that handles `tasks`. */
  readonly handle = (
    run: (task: Task<never>) => unknown,
    options: HandlerOptions = {},
    { definition, ...queue }: SluiceQueueModuleOptions & { definition?: unknown } = {},
  ): Promise<QueueApp> => {
    const given = definition === undefined ? {} : { definition: definition as QueueDefinition<never, unknown> };
    const queues = { tasks: { history: KEPT } };
    return this.start({ handlers: { tasks: { run, options, ...given } }, queue: { queues, ...queue } });
  };

  /** Resolves to the records of `tasks`, newest first, when there are so many. */
  readonly untilRecorded = async (
    { queue }: QueueApp,
    count: number,
    state: 'completed' | 'failed' = 'completed',
  ): Promise<readonly FinishedTask[]> => {
    const page = async (): Promise<readonly FinishedTask[]> => (await queue.history('tasks', { state })).tasks;
    await until(async () => (await page()).length >= count, { what: `${count} are recorded as ${state}` });
    return page();
  };
}
