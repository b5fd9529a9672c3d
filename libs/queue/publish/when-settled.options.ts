import type { Keyspace } from '../../redis/index.js';
import { badOption, resolveOptions } from '../../weave/index.js';
import { refuseOrdered } from '../ordering/ordering.options.js';
import { oneQueue } from '../named-tasks.js';
import { queueSchema, type QueueDefinition } from '../queue-definition.js';
import { checkSameSlot } from '../same-slot.js';
import { encodePayload } from '../task/payload.js';
import type { SettledTasks } from '../task/settled-tasks.js';
import { checked } from '../task/standard-schema.js';

/** The task that follows when all tasks of a `publishMany` have ended. */
export interface WhenAllSettled<T = unknown> {
  /**
   * The queue to which it is published. Its payloads are {@link SettledTasks}. It must be in the same Cluster slot, on a single server too:
   * `'{shop:mails}.sent'` is in the slot of `mails` of the namespace `shop`.
   */
  queue: QueueDefinition<SettledTasks<T>, unknown> | string;
  /** What its handler finds in `task.payload.payload`: JSON, as every payload. */
  payload: NoInfer<T>;
}

/** What follows, checked. */
export interface FollowUp {
  /** The name of the queue. */
  readonly queue: string;
  /** The payload as JSON. */
  readonly payload: string;
}

export interface FollowUpContext {
  /** The name of the queue of the tasks. */
  readonly queue: string;
  /** How many tasks there are. */
  readonly total: number;
  readonly maxPayloadBytes: number;
  /** Undefined: there are no slots. */
  readonly keyspace: Keyspace | undefined;
}

const SITE = 'publishMany: whenAllSettled';

/** The options of a `publishMany`, taken apart. */
export interface Taken<Options> {
  readonly options: Options;
  /** Undefined: nothing follows, and nothing has to be waited for. */
  readonly followUp?: Promise<FollowUp>;
}

/**
 * Takes `whenAllSettled` out of the options of a `publishMany`. The promise rejects if it cannot be used.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION`, `SLUICE_BAD_NAME`, `SLUICE_CROSS_SLOT`, and those of a payload, of which the counts are a part
 */
export function takeFollowUp<Options>(given: Options, context: FollowUpContext): Taken<Options> {
  if (typeof given !== 'object' || given === null || !('whenAllSettled' in given)) return { options: given };
  const { whenAllSettled, ...options } = given;
  if (whenAllSettled === undefined) return { options: options as Options };
  return { options: options as Options, followUp: check(whenAllSettled, context) };
}

async function check(
  whenAllSettled: unknown,
  { queue, total, maxPayloadBytes, keyspace }: FollowUpContext,
): Promise<FollowUp> {
  const { queue: target, payload } = resolveOptions<{ queue: unknown; payload: unknown }>(SITE, whenAllSettled, {
    queue: (value, path) => {
      if (value === undefined) throw badOption(path, 'given', value);
      return value;
    },
    payload: (value) => value,
  });
  refuseOrdered(target, SITE, 'The task that follows has no key: let it go to a queue without an order');
  const name = oneQueue(target, SITE);
  if (keyspace) checkSameSlot(keyspace, queue, name, SITE);
  const text = encodePayload(payload, 'whenAllSettled.payload', maxPayloadBytes);
  const whole: SettledTasks = { payload, counts: { total, completed: total, failed: 0, removed: 0 } };
  encodePayload(whole, 'whenAllSettled', maxPayloadBytes);
  const schema = queueSchema(target);
  if (schema) await checked(schema, whole, { queue: name, root: 'whenAllSettled', at: 'publish' });
  return { queue: name, payload: text };
}
