import { slotOf, type Keyspace } from '../redis/index.js';
import { SluiceError } from '../weave/index.js';
import { queueKeys } from './store/queue.keys.js';

/**
 * Checks that a task for `target` can be published in the same script as a step on `queue`. The rule is the same on a single server:
 * what works there works in a Cluster. `otherwise` is another way out, for the message.
 *
 * @throws SluiceError `SLUICE_CROSS_SLOT`, which says what the target may be called
 */
export function checkSameSlot(keyspace: Keyspace, queue: string, target: string, what: string, otherwise = ''): void {
  const { stream } = queueKeys(keyspace, queue);
  if (slotOf(stream) === slotOf(queueKeys(keyspace, target).stream)) return;
  const tag = `{${/\{([^{}]+)\}/.exec(stream)?.[1] ?? stream}}`;
  const named = target.includes('{') ? target.replace(/\{[^{}]*\}/, tag) : `${tag}.${target}`;
  throw new SluiceError(
    'SLUICE_CROSS_SLOT',
    `${what}: the queues '${queue}' and '${target}' are in different Cluster slots, so one step cannot change both. Give the target a ` +
      `name with the hash tag of '${queue}': '${named}'${otherwise}`,
  );
}
