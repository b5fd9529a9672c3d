import { badOption } from '../../weave/index.js';
import type { SentOptions } from '../publish/publish.options.js';
import type { QueueRef } from '../queue-definition.js';
import { checkKey, nameOf, orderingOf, refuseOrdered } from './ordering.options.js';

/**
 * The options of one task, with its ordering key: that of the call, or that which the queue makes of its payload.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION` if the key is none, or the queue is not ordered; what the queue's function throws
 */
export function withKey<O extends SentOptions>(ref: QueueRef<unknown>, payload: unknown, options: O, site: string): O {
  const order = orderingOf(ref);
  if (options.priority !== undefined && (order !== undefined || options.orderingKey !== undefined)) {
    throw badOption(
      `${site}: priority`,
      'left out with an ordering key: a level would break the order',
      options.priority,
    );
  }
  if (order === undefined) {
    if (options.orderingKey === undefined || typeof ref === 'string') return options;
    throw badOption(
      `${site}: orderingKey`,
      `left out: queue '${ref.name}' is not ordered. Give an orderingKey to defineQueue`,
      options.orderingKey,
    );
  }
  if (options.orderingKey !== undefined) return options;
  const key = checkKey(
    order.orderingKey(payload as never),
    `${site}: what the orderingKey of '${nameOf(ref)}' returned`,
  );
  return { ...options, orderingKey: key };
}

/** As {@link withKey}, for many payloads. */
export function withKeys<O extends SentOptions>(
  ref: QueueRef<unknown>,
  payloads: readonly unknown[],
  options: O | readonly O[],
): O | readonly O[] {
  const isOne = !Array.isArray(options);
  if (orderingOf(ref) === undefined && isOne) return withKey(ref, undefined, options as O, 'publishMany');
  return payloads.map((payload, i) => {
    const own = isOne ? (options as O) : ((options as readonly O[])[i] ?? ({} as O));
    return withKey(ref, payload, own, `publishMany: payloads[${i}]`);
  });
}

/** @throws SluiceError `SLUICE_BAD_OPTION`: tasks of `publishUnique` and `collect` have no ordering key */
export function refuseUnique(ref: QueueRef<unknown>, options: SentOptions, call: string): void {
  refuseOrdered(ref, call, 'Tasks under a key of publishes have no order: use publish, or a queue without orderingKey');
  if (options.orderingKey === undefined) return;
  throw badOption(
    `${call}: orderingKey`,
    'left out: tasks under a key of publishes have no order',
    options.orderingKey,
  );
}
