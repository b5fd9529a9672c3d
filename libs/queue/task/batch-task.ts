import { DeadLetterTask } from '../control-flow.js';
import { Task, partsOf, type TaskParts } from './task.js';

/** What failed a task. */
export interface TaskFailure {
  readonly error: unknown;
}

/**
 * A task of a batch, as a handler with `batch` receives it: it can fail alone, by {@link BatchTask.fail}.
 *
 * @example
 * // in a unit test of a handler
 * const tasks = [good, bad].map((payload) => new BatchTask({ payload }));
 * await search.index(tasks);
 * expect(tasks[1].failure?.error).toMatchObject({ message: 'no title' });
 */
export class BatchTask<T = unknown> extends Task<T> {
  #failure: TaskFailure | undefined;

  /** What `fail` was told; undefined: the task has not failed alone. */
  get failure(): TaskFailure | undefined {
    return this.#failure;
  }

  override fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /** Only this task becomes a dead letter, although the error ends the run: the others count a failed attempt. */
  override deadLetter(reason: string, options?: { cause?: unknown }): never {
    const thrown = new DeadLetterTask(reason, options);
    this.fail(thrown);
    throw thrown;
  }
}

/** The same task as a member of a batch, with other parts if they are given. */
export function inBatch(task: Task, parts?: Partial<TaskParts<unknown>>): BatchTask {
  return new BatchTask({ ...partsOf(task), ...parts });
}
