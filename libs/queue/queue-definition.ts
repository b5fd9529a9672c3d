import type { HistoryOptions } from './history/history.options.js';
import type { ResolvedLengthLimit } from './limits/length-limit.js';
import type { ResolvedShares } from './priority/shares.js';
import type { ResolvedOrdering } from './ordering/ordering.options.js';
import {
  checkSchema,
  isSchema,
  type SchemaInput,
  type SchemaOutput,
  type StandardSchema,
} from './task/standard-schema.js';

declare const INPUT: unique symbol;
declare const OUTPUT: unique symbol;
declare const RETURNED: unique symbol;
declare const RESULT: unique symbol;

/**
 * A queue's name together with the types of its payloads: the type that is published, and the type that the handler gets (the
 * same, unless a schema transforms it); and with those of its results: the type that handlers return, and the type to which
 * `publishAndWait` resolves. Created by `defineQueue`.
 */
export interface QueueDefinition<Input, Output = Input, Returned = unknown, Result = Returned> {
  /** The name of the stream, after the namespace. */
  readonly name: string;
  /** Checks payloads when they are published and when they are handled. */
  readonly schema?: StandardSchema;
  /** Checks results where `publishAndWait` gets them. */
  readonly result?: StandardSchema;
  /** How many tasks publishers may put into it. Absent: any number. */
  readonly maxLength?: ResolvedLengthLimit;
  /** How its levels of priority share the workers. Absent: it has no levels. */
  readonly shares?: ResolvedShares;
  /** How many records of ended tasks are kept. Absent: none. */
  readonly history?: HistoryOptions;
  /** The order of its tasks by their keys. Absent: they run in any order. */
  readonly ordering?: ResolvedOrdering;
  /** Of a named task: the queue that has it, and its name there. Absent for other queues. */
  readonly task?: NamedTask;
  /** Only queues of named tasks have this member: see `QueueOfTasks`. */
  readonly tasks?: undefined;
  /** These members are for types only, and never present. */
  readonly [INPUT]?: Input;
  readonly [OUTPUT]?: Output;
  readonly [RETURNED]?: Returned;
  readonly [RESULT]?: Result;
}

/** A queue as `defineQueue` makes it: its results have no type yet. */
export interface DefinedQueue<Input, Output = Input> extends QueueDefinition<Input, Output> {
  /**
   * The same queue, with the type of its results: its handlers must return it, and `publishAndWait` resolves to it. A `schema` checks
   * each result where it is waited for, and may transform it.
   *
   * @throws SluiceError `SLUICE_BAD_OPTION` if `schema` is none
   * @example
   * export const Orders = defineQueue<Order>('orders').returning<Receipt>();
   * export const Quotes = defineQueue<Order>('quotes').returning(z.object({ cents: z.number() }));
   */
  returning<Result>(): QueueDefinition<Input, Output, Result>;
  returning<S extends StandardSchema>(schema: S): QueueDefinition<Input, Output, SchemaInput<S>, SchemaOutput<S>>;
}

/** Makes the definition of a queue of its checked parts. */
export function defined(parts: QueueDefinition<unknown>): DefinedQueue<unknown> {
  // With the arguments as a list, a schema that is given and has no value yet is refused: a circular import leaves it so.
  const returning = (...schemas: unknown[]): QueueDefinition<unknown> => {
    if (schemas.length === 0) return defined(parts);
    return defined({ ...parts, result: checkSchema(schemas[0], `defineQueue('${parts.name}').returning`) });
  };
  // The method is no part of what a definition says, so it is not enumerable.
  const definition = Object.defineProperty({ ...parts }, 'returning', { value: returning });
  return Object.freeze(definition) as DefinedQueue<unknown>;
}

/** What a named task belongs to. */
export interface NamedTask {
  /** The name of the queue, as `defineQueue` got it. */
  readonly queue: string;
  /** The name of the task in that queue. */
  readonly name: string;
}

/** A queue, or only the name of its stream. */
export type QueueRef<Input> = QueueDefinition<Input, unknown> | string;

/** The type of the payloads that handlers of a queue get. */
export type OutputOf<Queue> = Queue extends { readonly [OUTPUT]?: infer Output } ? Output : never;

/** The schema of a queue reference, if it has one. */
export function queueSchema(queue: unknown): StandardSchema | undefined {
  return typeof queue === 'object' && queue !== null && 'schema' in queue && isSchema(queue.schema)
    ? queue.schema
    : undefined;
}

/** The schema of the results of a queue reference, if it has one. */
export function resultSchema(queue: unknown): StandardSchema | undefined {
  return typeof queue === 'object' && queue !== null && 'result' in queue && isSchema(queue.result)
    ? queue.result
    : undefined;
}

/** The name of a queue reference. The name is checked where it becomes a key. */
export function queueName(queue: unknown): unknown {
  return typeof queue === 'object' && queue !== null && 'name' in queue ? queue.name : queue;
}
