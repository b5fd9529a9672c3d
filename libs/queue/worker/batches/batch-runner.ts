import type { Clock } from '../../../redis/index.js';
import { isSluiceError } from '../../../weave/index.js';
import type { BatchRun, Within } from '../../handlers/batch-run.js';
import type { Handler } from '../../handlers/handler.registry.js';
import { runStarted } from '../../observe/run-messages.js';
import { TaskTimeoutError } from '../../queue.errors.js';
import type { Delivery } from '../../task/delivery.js';
import type { Task } from '../../task/task.js';
import type { TaskRunner } from '../task-runner.js';
import { withinTime } from '../time-limit.js';

export interface BatchRunnerOptions {
  handler: Handler;
  run: BatchRun;
  clock: Clock;
  /** Counts the runs, and settles each task. */
  runner: TaskRunner;
  /** A run has ended: there is room for the next one. */
  onEnded: () => void;
}

/** Calls the handler for each batch of a worker. Each task of it is settled by itself, and has its own messages on the channels. */
export class BatchRunner {
  readonly #options: BatchRunnerOptions;

  constructor(options: BatchRunnerOptions) {
    this.#options = options;
  }

  async run(deliveries: readonly Delivery[]): Promise<void> {
    const { handler, run, clock, runner, onEnded } = this.#options;
    const tasks = deliveries.map(({ task }) => task as Task);
    runner.begin(deliveries);
    const ended = tasks.map((task) => runStarted(clock, handler, task));
    const failures = await run(tasks, this.#within(deliveries));
    runner.end(deliveries.length);
    deliveries.forEach((delivery, i) => {
      const failure = failures[i];
      if (failure === undefined) runner.completed(delivery, ended[i]);
      else runner.failed(delivery, ofThis(delivery, failure.error), ended[i]);
    });
    onEnded();
  }

  /** The time limit is for the batch, and aborts the signals of all its tasks. */
  #within(deliveries: readonly Delivery[]): Within | undefined {
    const { handler, clock } = this.#options;
    const { timeoutMs } = handler.options;
    if (timeoutMs === undefined) return undefined;
    const batch = {
      taskId: deliveries[0]?.taskId ?? '',
      abort: () => {
        for (const delivery of deliveries) delivery.abort(new TaskTimeoutError(delivery.taskId, timeoutMs));
      },
    };
    return (body) => withinTime(clock, timeoutMs, batch, body);
  }
}

/** Of a batch that took too long, each task fails with an error that names it, and not the first one. */
function ofThis(delivery: Delivery, thrown: unknown): unknown {
  if (!isSluiceError(thrown, 'SLUICE_TASK_TIMEOUT')) return thrown;
  const own: unknown = delivery.signal.reason;
  return isSluiceError(own, 'SLUICE_TASK_TIMEOUT') ? own : thrown;
}
