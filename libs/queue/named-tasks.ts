import { checkName } from '../redis/index.js';
import { badOption, resolveOptions } from '../weave/index.js';
import type { HistoryOptions } from './history/history.options.js';
import {
  defined,
  queueName,
  type DefinedQueue,
  type NamedTask,
  type QueueDefinition,
  type QueueRef,
} from './queue-definition.js';
import { checkSchema, type SchemaInput, type SchemaOutput, type StandardSchema } from './task/standard-schema.js';

declare const PAYLOAD: unique symbol;

/** The type of a named task's payload. Created by {@link payload}. */
export interface TaskPayload<T> {
  /** This member is for types only, and never present. */
  readonly [PAYLOAD]?: T;
}

/** The named tasks of a queue: each with the type of its payload, or with a schema. */
export type TaskSpecs = Readonly<Record<string, TaskPayload<unknown> | { readonly schema: StandardSchema }>>;

/** One named task as a queue of its own: it goes wherever a queue goes. */
export type DefinitionOf<Spec> = Spec extends { readonly schema: infer S extends StandardSchema }
  ? DefinedQueue<SchemaInput<S>, SchemaOutput<S>>
  : Spec extends TaskPayload<infer T>
    ? DefinedQueue<T>
    : never;

/** A queue of named tasks. `tasks.<name>` is a queue; the object itself means all of them. Created by `defineQueue`. */
export interface QueueOfTasks<Specs extends TaskSpecs = TaskSpecs> {
  /** The name that `defineQueue` got. It is no stream: each named task has one. */
  readonly name: string;
  readonly tasks: { readonly [Name in keyof Specs]: DefinitionOf<Specs[Name]> };
}

/**
 * Names the type of a named task's payload, in `defineQueue`. Nothing is checked at run time: that is what `{ schema }` is for.
 *
 * @example
 * const Files = defineQueue('files', { tasks: { import: payload<Import>(), export: { schema } } });
 */
export function payload<T>(): TaskPayload<T> {
  return NO_SCHEMA;
}

const NO_SCHEMA = Object.freeze({});

/** A queue of named tasks, or undefined for any other reference. */
export function asQueueOfTasks(queue: unknown): QueueOfTasks | undefined {
  if (typeof queue !== 'object' || queue === null || !('tasks' in queue)) return undefined;
  return typeof queue.tasks === 'object' && queue.tasks !== null ? (queue as QueueOfTasks) : undefined;
}

/** Its named tasks. */
export function definitionsOf({ tasks }: QueueOfTasks): QueueDefinition<unknown>[] {
  return Object.values<QueueDefinition<unknown>>(tasks);
}

/**
 * The checked name of one queue: of the queue of one task, if there are several.
 *
 * @throws SluiceError `SLUICE_BAD_NAME`; `SLUICE_BAD_OPTION` for a whole queue of named tasks, which `operation` does not take
 */
export function oneQueue(queue: unknown, operation: string): string {
  const whole = asQueueOfTasks(queue);
  if (whole === undefined) return checkName('queue', queueName(queue));
  const [first = '<name>'] = Object.keys(whole.tasks);
  throw badOption(
    `${operation}: queue`,
    `one task of '${whole.name}', such as tasks.${first}: the whole queue is not a place of its own`,
    whole.name,
  );
}

/**
 * The stream of a named task. All streams of a queue have the queue's name as their hash tag, so that they are in one Cluster slot:
 * one read and one script serve all of them.
 */
export function streamOfTask({ queue, name }: NamedTask): string {
  return `${taggedName(queue)}.${name}`;
}

/** The name of a queue of tasks as a hash tag, or with its own one. The keys of the whole queue are beside this name. */
export function taggedName(queue: string): string {
  return queue.includes('{') ? queue : `{${queue}}`;
}

/** What a reference says of its named task. False: it is the definition of a queue of its own. Undefined: it is only a name. */
export function namedIn(queue: QueueRef<unknown>): NamedTask | false | undefined {
  if (typeof queue === 'string') return undefined;
  return queue.task ?? ('returning' in queue ? false : undefined);
}

/**
 * The names by which options mean a stream, the one with precedence last: of the stream `{files}.import` these are `files` (all names),
 * `files.import`, and the stream's own. Of a queue whose definition says that it is no named task (`{orders}.failures`, which is beside
 * `orders` because of its slot), it is the stream's own name alone. A bare name of this form counts as that of a named task.
 */
export function optionNames(stream: string, task?: NamedTask | false): readonly string[] {
  if (task === false) return [stream];
  const [, queue, name] = /^\{([^{}]+)\}\.(.+)$/s.exec(stream) ?? [];
  if (task) return [...new Set([task.queue, `${task.queue}.${task.name}`, stream])];
  return queue === undefined || name === undefined ? [stream] : [queue, `${queue}.${name}`, stream];
}

/** Checks the `tasks` of `defineQueue`. */
export function defineTasks(queue: string, value: unknown, path: string): Record<string, DefinedQueue<unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || Object.keys(value).length === 0) {
    throw badOption(path, 'an object with at least one named task', value);
  }
  return Object.freeze(
    Object.fromEntries(
      Object.entries(value).map(([name, spec]) => [name, defineTask({ queue, name }, spec, `${path}.${name}`)]),
    ),
  );
}

/** The same named tasks, each with a history of its own. */
export function withHistory(
  tasks: Record<string, DefinedQueue<unknown>>,
  history: HistoryOptions,
): Record<string, DefinedQueue<unknown>> {
  const all = Object.entries(tasks).map(([name, task]) => [name, defined({ ...task, history })]);
  return Object.freeze(Object.fromEntries(all) as Record<string, DefinedQueue<unknown>>);
}

function defineTask(task: NamedTask, spec: unknown, path: string): DefinedQueue<unknown> {
  const name = checkName('queue', streamOfTask(task));
  const { schema } = resolveOptions<{ schema?: StandardSchema }>(path, spec, {
    schema: (value, at) => (value === undefined ? value : checkSchema(value, at)),
  });
  return defined({ name, task: Object.freeze(task), ...(schema && { schema }) });
}
