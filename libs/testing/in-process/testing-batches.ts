import type { Handler } from '../../queue/handlers/handler.registry.js';
import type { Task, TaskFailure } from '../../queue/index.js';
import type { TestingNotes } from './outcomes/testing-notes.js';
import type { Taken, TestingTasks, Waiting } from './testing-tasks.js';

/** How a task of a batch has ended; undefined: it is done. */
export type BatchOutcome = TaskFailure | 'cancelled' | undefined;

/** The task with those that wait behind it and may run with it. A test's tasks never wait for a fuller batch. */
export function batchOf(handler: Handler, first: Waiting, take: (only: Handler) => Taken | undefined): Waiting[] {
  const batch = [first];
  while (batch.length < (handler.options.batch?.max ?? 1)) {
    const next = take(handler);
    if (next === undefined) break;
    batch.push(next.waiting);
  }
  return batch;
}

/** Runs a batch of a test, each task with a signal of its own, so that one of them can be cancelled. Resolves to their outcomes, in order. */
export async function runTestBatch(
  tasks: TestingTasks,
  handler: Handler,
  batch: readonly Waiting[],
  notes: Pick<TestingNotes, 'task' | 'acknowledged'>,
): Promise<BatchOutcome[]> {
  const members: Task[] = [];
  let begin = (): void => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const failures = begun.then(() => handler.runBatch?.(members));
  const ends = batch.map(async (waiting, i): Promise<BatchOutcome> => {
    try {
      const done = await tasks.run(waiting, async (signal) => {
        members[i] = notes.task(handler, waiting, signal);
        const failure = (await failures)?.[i];
        if (failure) throw new Failed(failure);
        await notes.acknowledged(waiting).catch((error: unknown) => {
          throw new Failed({ error });
        });
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
