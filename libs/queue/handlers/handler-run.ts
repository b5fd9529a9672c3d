import { AsyncResource } from 'node:async_hooks';
import { ongoingKind, runToEnd } from '../../weave/index.js';
import type { NamedTask } from '../queue-definition.js';
import type { HandlerCall } from './handler-calls.js';
import type { Propagation } from '../task/propagation.js';
import { checked, type StandardSchema } from '../task/standard-schema.js';
import { withName, withPayload, type Task } from '../task/task.js';

export interface HandlerRunParts {
  /** `Class.method`, for messages. */
  readonly site: string;
  readonly queue: string;
  readonly call: HandlerCall;
  readonly schema: StandardSchema | undefined;
  /** If the queue is one task of several: which one. */
  readonly task: NamedTask | undefined;
  readonly propagation: Propagation | undefined;
}

/**
 * Runs a handler's result to its end: an Observable is subscribed to, and an async iterable or a stream is read, because the
 * result has no other consumer. Until then the task is not done. Called only for results that are not undefined, because most
 * results are undefined.
 *
 * @throws SluiceError `SLUICE_BAD_RESULT` for a result whose end cannot be known
 */
export function toEnd(returned: unknown, site: string, task: Pick<Task, 'signal'>): unknown {
  return ongoingKind(returned) === undefined ? returned : runToEnd(returned, { site, signal: task.signal });
}

/**
 * Creates the function that a worker calls. It checks the payload with the schema, and runs the handler in the trace of the
 * publisher. Each task has an asynchronous context of its own, so that a value that one handler sets there
 * (`AsyncLocalStorage.enterWith`) does not reach the tasks that are started after it.
 */
export function handlerRun({ site, queue, call, schema, task: named, propagation }: HandlerRunParts): HandlerCall {
  const parsed =
    schema === undefined
      ? call
      : async (task: Task): Promise<unknown> => {
          const payload = await checked(schema, task.payload, { queue, root: 'payload', at: 'handle' });
          return call(payload === task.payload ? task : withPayload(task, payload));
        };
  const run = propagation?.run;
  const traced =
    run === undefined
      ? parsed
      : (task: Task) => run(task.trace, async () => toEnd(await parsed(task), site, task), task);
  if (named === undefined) return (task) => new AsyncResource('sluice.task').runInAsyncScope(traced, undefined, task);
  return (task) => new AsyncResource('sluice.task').runInAsyncScope(traced, undefined, withName(task, named.name));
}
