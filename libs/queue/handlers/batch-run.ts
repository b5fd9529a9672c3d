import { AsyncResource } from 'node:async_hooks';
import { SluiceError, isSluiceError } from '../../weave/index.js';
import type { NamedTask } from '../queue-definition.js';
import { inBatch, type BatchTask, type TaskFailure } from '../task/batch-task.js';
import { checked, type StandardSchema } from '../task/standard-schema.js';
import type { Task } from '../task/task.js';
import type { HandlerCall } from './handler-calls.js';
import { toEnd } from './handler-run.js';

export interface BatchRunParts {
  /** `Class.method`, for messages. */
  readonly site: string;
  readonly queue: string;
  readonly call: HandlerCall<readonly Task[]>;
  readonly schema: StandardSchema | undefined;
  /** If the queue is one task of several: which one. */
  readonly task: NamedTask | undefined;
}

/** Runs the body of a batch, within a time limit if there is one. */
export type Within = (body: () => Promise<unknown>) => Promise<unknown>;

/**
 * Runs a handler with a batch of tasks. Resolves to what failed each of them, in order; undefined: the task is done. It never rejects.
 */
export type BatchRun = (tasks: readonly Task[], within?: Within) => Promise<readonly (TaskFailure | undefined)[]>;

const atOnce: Within = (body) => body();

/**
 * Creates the function that runs batches of a handler. It checks each payload with the schema: a task that is refused has failed alone,
 * and the handler gets the others. If none is left, the handler does not run.
 *
 * The batch has one asynchronous context, and runs in the trace of no publisher: its tasks may have as many. The handler gets them in an
 * array of its own, each as a {@link BatchTask}.
 */
export function batchRun({ site, queue, call, schema, task: named }: BatchRunParts): BatchRun {
  const name = named && { name: named.name };
  const check = async (members: BatchTask[], i: number, to: StandardSchema): Promise<void> => {
    const member = members[i] as BatchTask;
    try {
      const payload = await checked(to, member.payload, { queue, root: 'payload', at: 'handle' });
      if (payload !== member.payload) members[i] = inBatch(member, { payload });
    } catch (error) {
      member.fail(error);
    }
  };
  const run = async (tasks: readonly Task[], within: Within): Promise<readonly (TaskFailure | undefined)[]> => {
    const members = tasks.map((task) => inBatch(task, name));
    let thrown: TaskFailure | undefined;
    try {
      await within(async () => {
        if (schema) await Promise.all(members.map((_, i) => check(members, i, schema)));
        const given = schema ? members.filter(({ failure }) => failure === undefined) : [...members];
        if (given.length === 0) return;
        const returned = await call(given);
        if (returned !== undefined) await toEnd(returned, site, endOf(members));
      });
    } catch (error) {
      thrown = { error: isOfOne(members, error) ? endedByOne(site, error) : error };
    }
    return members.map(({ failure }) => failure ?? thrown);
  };
  return (tasks, within = atOnce) =>
    new AsyncResource('sluice.batch').runInAsyncScope<undefined, ReturnType<BatchRun>>(run, undefined, tasks, within);
}

/** Whether the error is the dead letter of one task, by `task.deadLetter`: the others must not become dead letters with it. */
function isOfOne(members: readonly BatchTask[], error: unknown): boolean {
  return isSluiceError(error, 'SLUICE_TASK_DEAD_LETTER') && members.some(({ failure }) => failure?.error === error);
}

function endedByOne(site: string, cause: unknown): SluiceError {
  return new SluiceError(
    'SLUICE_TASK_BATCH_ENDED',
    `task.deadLetter of another task ended the run of the batch: give up one task in ${site} by ` +
      'task.fail(new DeadLetterTask(reason)), which throws nothing',
    { cause },
  );
}

/** A signal that aborts once those of all tasks have: when the time is over or the app stops, and not when one task is cancelled. */
function endOf(members: readonly BatchTask[]): { readonly signal: AbortSignal } {
  return {
    get signal() {
      const controller = new AbortController();
      let left = members.length;
      for (const { signal } of members) {
        const aborted = (): void => {
          if (--left === 0) controller.abort(signal.reason);
        };
        if (signal.aborted) aborted();
        else signal.addEventListener('abort', aborted, { once: true });
      }
      return controller.signal;
    },
  };
}
