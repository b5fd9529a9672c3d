import { checkName } from '../redis/index.js';
import { badOption, resolveOptions } from '../weave/index.js';
import { isSchema, type SchemaInput, type SchemaOutput, type StandardSchema } from './task/standard-schema.js';

declare const INPUT: unique symbol;
declare const OUTPUT: unique symbol;

/**
 * A queue's name together with the types of its payloads: the type that is published, and the type that the handler gets (the
 * same, unless a schema transforms it). Created by {@link defineQueue}.
 */
export interface QueueDefinition<Input, Output = Input> {
  readonly name: string;
  /** Checks payloads when they are published and when they are handled. */
  readonly schema?: StandardSchema;
  /** These members are for types only, and never present. */
  readonly [INPUT]?: Input;
  readonly [OUTPUT]?: Output;
}

/** A queue, or only the name of its stream. */
export type QueueRef<Input> = QueueDefinition<Input, unknown> | string;

/**
 * Names a queue once, with the type of its payloads, for publishers and handlers.
 *
 * The name is that of the Redis stream (after the namespace). It may be any non-empty name; braces are allowed only as one hash
 * tag.
 *
 * With a `schema` (zod, valibot, arktype: any Standard Schema, also an asynchronous one) payloads are checked when they are
 * published: a publish of a bad payload rejects with `SLUICE_QUEUE_INVALID_PAYLOAD`. They are checked again before they are
 * handled, because there may be other producers. If that check fails, the task becomes a dead letter, `bad-payload`, and its
 * handler does not run. The value that was given to `publish` is sent, as JSON. The handler gets the schema's output for it.
 *
 * @throws SluiceError `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`
 * @example
 * export const Orders = defineQueue<Order>('orders');
 * export const Mails = defineQueue('mails', { schema: z.object({ to: z.email(), at: z.iso.datetime() }) });
 * await queue.publish(Orders, order);
 */
export function defineQueue<S extends StandardSchema>(
  name: string,
  options: { schema: S },
): QueueDefinition<SchemaInput<S>, SchemaOutput<S>>;
export function defineQueue<T>(name: string): QueueDefinition<T>;
export function defineQueue(name: string, options?: { schema: StandardSchema }): QueueDefinition<unknown> {
  const checkedName = checkName('queue', name);
  if (options === undefined) return Object.freeze({ name: checkedName });
  const { schema } = resolveOptions<{ schema: StandardSchema }>(`defineQueue('${checkedName}')`, options, {
    schema: (value, path) => {
      if (isSchema(value)) return value;
      throw badOption(path, 'a Standard Schema, as of zod, valibot or arktype', value);
    },
  });
  return Object.freeze({ name: checkedName, schema });
}

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
