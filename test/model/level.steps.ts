import { publishLevelScript } from '../../libs/queue/store/scripts/publish-level.script.js';
import type { World } from './queue.world.js';
import type { Rule } from './step.js';

/** Publishes a task to the level at hand, which may lack the groups of the queue. `delayMs` -1: it is not delayed. */
export async function publishToLevel(world: World, delayMs: number): Promise<Rule> {
  const payload = world.newTask();
  const handle = `task-${payload}`;
  const fresh = await publishLevelScript.run(world.link, {
    keys: { ...world.keys, main: world.main },
    args: { inboxes: 'model:inbox:', timestamp: '1' },
    rest: [handle, payload, JSON.stringify({ id: handle }), delayMs, -1],
  });
  if (fresh !== 1) throw new Error(`the publish of ${payload} answered ${fresh}`);
  return (of, from, to) =>
    of.endsWith(` ${payload}`) && from === undefined && to === (delayMs < 0 ? 'waiting:0' : 'delayed:0');
}
