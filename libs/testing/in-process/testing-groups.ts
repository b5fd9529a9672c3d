import { groupInUse } from '../../queue/admin/queue-groups.js';
import type { QueueGroup, QueueGroups } from '../../queue/index.js';

/** The one consumer of each group. */
const SELF = 'this test';

/** The groups of the handlers of a queue, in a test. */
export function testingGroups(
  queue: string,
  names: readonly string[],
  waitingOf: (group: string) => number,
): QueueGroups {
  const list = (): Promise<QueueGroup[]> =>
    Promise.resolve(names.map((name) => ({ name, waiting: waitingOf(name), running: 0, consumers: [SELF] })));
  const drop = (name: string): Promise<boolean> =>
    names.includes(name) ? Promise.reject(groupInUse(queue, name, [SELF])) : Promise.resolve(false);
  // This object has every public member, and needs none of the private ones.
  return { list, drop } as unknown as QueueGroups;
}
