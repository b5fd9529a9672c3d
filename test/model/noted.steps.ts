import { commitScript } from '../../libs/queue/store/scripts/commit.script.js';
import type { Handed, World } from './queue.world.js';
import { resultOf } from './settled.steps.js';
import type { Pick, Rule } from './step.js';

const LATER_MS = 1_000_000_000;
/** How many acknowledgements with notes there were. */
const counted = new WeakMap<World, number>();

/**
 * A run ends that has noted a write and a task that follows, in the same queue. It may be a late one: then another one has its task, and it
 * must do nothing.
 */
export async function commitNoted(world: World, handed: Handed | undefined, pick: Pick): Promise<Rule> {
  if (handed === undefined) return () => false;
  const { group, keys, id, task, handle, consumer, deliveries } = handed;
  const meta = world.ends.waitersMeta(handed);
  const counter = `{${world.main}}:~counted`;
  const before = counted.get(world) ?? 0;
  if (before === 0) await world.link.send('del', [counter]);
  const now = world.last.pending.find((each) => each.keys === keys && each.group === group && each.id === id);
  const mine = now?.consumer === consumer && now.deliveries === deliveries;
  const { stream, delayed, bodies, alive } = world.keys;
  // What follows is of the level 'normal'.
  const payload = mine && stream === world.main ? world.newTask() : undefined;
  const isLater = pick(3) === 0;
  const nextId = isLater ? `task-${payload ?? 'nobody'}` : '';
  const own = isLater ? JSON.stringify({ id: nextId }) : '';
  const next = [stream, delayed, bodies, alive, nextId, payload ?? 'nobody', own, isLater ? LATER_MS : 0, -1];
  const { how } = await commitScript.run(world.link, {
    keys: { ...keys, history: keys.dead },
    restKeys: [counter],
    args: {
      run: '',
      ...{ group, consumer, id, task: handle, deliveries, side: keys.side, inboxes: 'model:inbox:' },
      ...{ join: world.ends.metaOf(handed).join ?? '', timestamp: '1', meta, writes: 1 },
      ...(meta === '' ? { outcome: '', text: '' } : { outcome: 'returned', text: resultOf(handed) }),
    },
    rest: [3, 'incrby', counter, 1, ...(mine && payload === undefined ? [] : next)],
  });
  const wanted = mine ? 'done' : 'stale';
  if (how !== wanted) throw new Error(`the acknowledgement of ${id} with notes is ${how}, not ${wanted}`);
  if (mine) {
    world.settle(handed, { how: 'completed', text: resultOf(handed) });
    counted.set(world, before + 1);
  }
  const count = Number(await world.link.send('get', [counter]));
  if (count !== before + (mine ? 1 : 0)) throw new Error(`${count} writes were done, with ${before} before`);
  return (of, from, to) => {
    if (of === `${group} ${task}`) return mine && to === 'done';
    return (
      payload !== undefined &&
      of.endsWith(` ${payload}`) &&
      from === undefined &&
      to === (isLater ? 'delayed:0' : 'waiting:0')
    );
  };
}
