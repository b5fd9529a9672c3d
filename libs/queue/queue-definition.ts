import type { ResolvedLengthLimit } from './limits/length-limit.js';
import { isSchema, type StandardSchema } from './task/standard-schema.js';

declare const INPUT: unique symbol;
declare const OUTPUT: unique symbol;

/**
 * A queue's name together with the types of its payloads: the type that is published, and the type that the handler gets (the
 * same, unless a schema transforms it). Created by `defineQueue`.
 */
export interface QueueDefinition<Input, Output = Input> {
  /** The name of the stream, after the namespace. */
  readonly name: string;
  /** Checks payloads when they are published and when they are handled. */
  readonly schema?: StandardSchema;
  /** How many tasks publishers may put into it. Absent: any number. */
  readonly maxLength?: ResolvedLengthLimit;
  /** Of a named task: the queue that has it, and its name there. Absent for other queues. */
  readonly task?: NamedTask;
  /** Only queues of named tasks have this member: see `QueueOfTasks`. */
  readonly tasks?: undefined;
  /** These members are for types only, and never present. */
  readonly [INPUT]?: Input;
  readonly [OUTPUT]?: Output;
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

/** The name of a queue reference. The name is checked where it becomes a key. */
export function queueName(queue: unknown): unknown {
  return typeof queue === 'object' && queue !== null && 'name' in queue ? queue.name : queue;
}
