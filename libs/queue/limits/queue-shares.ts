import { SluiceError } from '../../weave/index.js';
import { namedIn, optionNames } from '../named-tasks.js';
import { changedShares, type ResolvedShares } from '../priority/shares.js';
import { orderingOf } from '../ordering/ordering.options.js';
import type { PublishOptions } from '../publish/publish.options.js';
import type { QueueRef } from '../queue-definition.js';
import { lengthLimitOf, type QueuesByName } from './length-limits.js';

/**
 * The shares of a queue's levels: those of the definition, with what the configuration changes. Undefined: the queue has no levels.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION` if the queue has a `maxLength` too, or is a named task
 */
export function sharesOf(queue: QueueRef<unknown>, name: string, queues: QueuesByName): ResolvedShares | undefined {
  const declared = typeof queue === 'string' ? undefined : queue.shares;
  if (queues.size === 0) return declared;
  const names = optionNames(name, namedIn(queue));
  const at = names.find((each) => queues.get(each)?.shares !== undefined);
  if (at === undefined && declared === undefined) return undefined;
  // A bare name beside the queue that has shares: whoever looks at it need not know that it is no named task.
  if (typeof queue === 'string' && names.length > 1 && at === names[0]) return undefined;
  if (names.length > 1) {
    throw refused(`queue.queues['${at}'].shares`, `'${name}' is a named task, and those have no levels of priority`);
  }
  if (lengthLimitOf(queue, name, queues) !== undefined) {
    throw refused(`the shares of queue '${name}'`, 'it has a maxLength too, which does not count levels of priority');
  }
  if (orderingOf(queue) !== undefined) {
    throw refused(`the shares of queue '${name}'`, 'it has an orderingKey too, and a level would break the order');
  }
  return changedShares(declared, queues.get(name)?.shares ?? {});
}

/** What this process knows of the levels of queues. */
export interface Levels {
  /** The shares of a queue: by its definition, its configuration, or a handler. */
  readonly sharesOf: (queue: QueueRef<unknown>, name: string) => ResolvedShares | undefined;
  readonly queues: QueuesByName;
}

/**
 * Refuses a `priority` on a queue that has no levels, also `'normal'`: whoever gives one counts on levels.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION`
 */
export function refuseUnlevelled(
  queue: QueueRef<unknown>,
  name: string,
  options: readonly PublishOptions[],
  { sharesOf: sharesOfQueue, queues }: Levels,
): void {
  const given = options.find(({ priority }) => priority !== undefined);
  if (given === undefined) return;
  if (lengthLimitOf(queue, name, queues) !== undefined) {
    throw refused(
      `publish: priority '${given.priority}'`,
      `queue '${name}' has a maxLength, which does not count levels`,
    );
  }
  if (sharesOfQueue(queue, name) !== undefined) return;
  throw new SluiceError(
    'SLUICE_BAD_OPTION',
    `publish: priority '${given.priority}' on queue '${name}', which has no levels of priority in this process: give it ` +
      `defineQueue('${name}', { shares: true }) here and where it is handled, or queue.queues['${name}'] = { shares: true }`,
  );
}

function refused(what: string, why: string): SluiceError {
  return new SluiceError('SLUICE_BAD_OPTION', `${what}: ${why}. Use one of the two, or a queue of its own for each`);
}
