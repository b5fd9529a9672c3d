import type { Handler } from '../../queue/handlers/handler.registry.js';
import type { Task, TaskFailure } from '../../queue/index.js';
import type { TestingTasks, Waiting } from './testing-tasks.js';

/** How a task of a batch has ended; undefined: it is done. */
export type BatchOutcome = TaskFailure | 'cancelled' | undefined;

/** Runs a batch of a test, each task with a signal of its own, so that one of them can be cancelled. Resolves to their outcomes, in order. */
export async function runTestBatch(
  tasks: TestingTasks,
  { runBatch }: Handler,
  batch: readonly Waiting[],
  taskOf: (waiting: Waiting, signal: AbortSignal) => Task,
): Promise<BatchOutcome[]> {
  const members: Task[] = [];
  let begin = (): void => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const failures = begun.then(() => runBatch?.(members));
  const ends = batch.map(async (waiting, i): Promise<BatchOutcome> => {
    try {
      const done = await tasks.run(waiting, async (signal) => {
        members[i] = taskOf(waiting, signal);
        const failure = (await failures)?.[i];
        if (failure) throw new Failed(failure);
      });
      return done ? undefined : 'cancelled';
    } catch (error) {
      if (error instanceof Failed) return error.failure;
      throw error;
    }
  });
  begin();
  return Promise.all(ends);
}

/** What failed a task, on the way through `TestingTasks.run`. */
class Failed extends Error {
  constructor(readonly failure: TaskFailure) {
    super('a task of a batch has failed');
  }
}
