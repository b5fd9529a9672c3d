import type { Link } from '../../../redis/index.js';
import { reconcileScript } from '../../store/scripts/reconcile.script.js';
import type { Worker } from '../worker.js';

/**
 * Compares the tasks that Redis counts as pending with this process with the tasks that the worker holds. Called while no read is
 * under way.
 *
 * - A held task is no longer pending here: other processes took it over while the lease had lapsed. It is dropped if it has not
 *   started yet.
 * - A pending task is not held: it was delivered, but the socket died before it arrived. It runs now, unless it is younger than
 *   `minIdleMs`. With a rate limit, it may not start any more: the permission is too old. The ids of such tasks are returned.
 */
export async function reconcile(worker: Worker, link: Link, consumer: string, minIdleMs: number): Promise<string[]> {
  const { keys, handler, credit } = worker;
  const { pending, lost } = await reconcileScript.run(link, {
    keys: { stream: keys.stream },
    args: { group: handler.options.group, consumer, capacity: Math.max(0, credit), minIdleMs },
    rest: worker.heldIds,
  });
  worker.keepOnly(pending);
  worker.confirmed();
  if (worker.limits?.grace !== undefined) return lost.map(({ id }) => id);
  worker.accept(lost);
  return [];
}
