import { commitScript } from '../../libs/queue/store/scripts/commit.script.js';
import type { Handed, World } from './queue.world.js';
import type { Rule } from './step.js';

/** How many acknowledgements with notes there were. */
const counted = new WeakMap<World, number>();

/**
 * A run ends that has noted a write and a task that follows, in the same queue. It may be a late one: then another one has its task, and it
 * must do nothing.
 */
export async function commitNoted(world: World, handed: Handed | undefined): Promise<Rule> {
  if (handed === undefined) return () => false;
  const { group, keys, id, task, handle, consumer, deliveries } = handed;
  const counter = `{${world.main}}:~counted`;
  const before = counted.get(world) ?? 0;
  if (before === 0) await world.link.send('del', [counter]);
  const now = world.last.pending.find((each) => each.keys === keys && each.group === group && each.id === id);
  const mine = now?.consumer === consumer && now.deliveries === deliveries;
  const { stream, delayed, bodies, alive } = world.keys;
  // What follows is of the level 'normal'.
  const payload = mine && stream === world.main ? world.newTask() : undefined;
  const next = [stream, delayed, bodies, alive, '', payload ?? 'nobody', '', 0, -1];
  const { how } = await commitScript.run(world.link, {
    keys,
    restKeys: [counter],
    args: {
      ...{ group, consumer, id, task: handle, deliveries, side: keys.side, join: '', inboxes: 'model:inbox:' },
      ...{ timestamp: '1', meta: '', outcome: '', text: '', writes: 1 },
    },
    rest: [3, 'incrby', counter, 1, ...(mine && payload === undefined ? [] : next)],
  });
  const wanted = mine ? 'done' : 'stale';
  if (how !== wanted) throw new Error(`the acknowledgement of ${id} with notes is ${how}, not ${wanted}`);
  if (mine) {
    world.done.add(`${group} ${task}`);
    counted.set(world, before + 1);
  }
  const count = Number(await world.link.send('get', [counter]));
  if (count !== before + (mine ? 1 : 0)) throw new Error(`${count} writes were done, with ${before} before`);
  return (of, from, to) => {
    if (of === `${group} ${task}`) return mine && to === 'done';
    return payload !== undefined && of.endsWith(` ${payload}`) && from === undefined && to === 'waiting:0';
  };
}
