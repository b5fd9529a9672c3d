import { CONSUMER_PREFIX, RELEASED, rateKeys } from '../../libs/queue/store/queue.keys.js';
import { takeScript } from '../../libs/queue/store/scripts/take.script.js';
import { Keyspace } from '../../libs/redis/index.js';
import type { World } from './queue.world.js';
import type { Pick, Rule, Step } from './step.js';

export interface TakeStepOptions {
  readonly maxDeliveries: number;
  readonly isolatedFrom: number;
  /** The stream that is taken from, of the queue or of the group's retries; undefined: it is not there. */
  readonly stream: (world: World, group: string, pick: Pick) => Promise<string | undefined>;
}

/** A worker with limits of the fleet takes what may start: of the dead, and new. */
export function takeStep({ maxDeliveries, isolatedFrom, stream: streamOf }: TakeStepOptions): Step {
  return async (world, pick) => {
    const consumer = [...world.alive][pick(Math.max(1, world.alive.size))];
    const group = world.groups[pick(world.groups.length)] ?? '';
    const stream = await streamOf(world, group, pick);
    if (consumer === undefined || stream === undefined) return () => false;
    const retries = world.retryKeysOf(group);
    const keys = stream === retries.stream ? retries : world.keys;
    const other = stream === retries.stream ? world.keys.stream : retries.stream;
    const busy = world.last.pending.filter(
      (each) => each.group === group && (world.alive.has(each.consumer) || !each.consumer.startsWith(CONSUMER_PREFIX)),
    );
    const mine = busy.filter((each) => each.consumer === consumer && each.keys.stream === stream);
    const alone = mine.some(({ deliveries }) => deliveries >= isolatedFrom);
    const capacity = 1 + pick(4);
    const fleet = pick(7);
    const rule = ruleOf(world, group, consumer, maxDeliveries);
    const { claimed, deadLetters, cancelled } = await takeScript.run(world.link, {
      keys: { history: keys.dead, ...keys, ...rateKeys(new Keyspace(), keys, group), other, failedTo: keys.dead },
      args: {
        keep: 0,
        level: '-',
        ...{ group, consumer, leaseMs: 1, sinceMs: 0, endsMs: FOR_EVER, capacity, maxDeliveries },
        ...{
          alone: alone ? 1 : 0,
          foreignIdleMs: 0,
          released: RELEASED,
          prefix: CONSUMER_PREFIX,
          publishes: '',
          side: keys.side,
          inboxes: ':~inbox:0:',
        },
        ...{ limit: 1_000_000, perMs: 1, graceMs: 1, usualMs: 1, fleet, readMost: 100 },
      },
    });
    const room = fleet === 0 ? capacity : Math.min(capacity, Math.max(0, fleet - busy.length));
    if (claimed.length > room) throw new Error(`${claimed.length} were taken, with room for ${room}`);
    world.settleAll(group, deadLetters, { how: 'failed', reason: 'max-deliveries' });
    world.settleAll(group, cancelled, { how: 'cancelled' });
    return rule;
  };
}

/** Beyond any clock. */
const FOR_EVER = 9_000_000_000_000;

function ruleOf(world: World, group: string, consumer: string, maxDeliveries: number): Rule {
  const marked = world.markedTasks();
  return (of, from = '', to) => {
    if (!of.startsWith(`${group} `)) return false;
    if (from.startsWith('waiting:')) return to === `pending:${consumer}:1:${from.slice(8)}`;
    const [kind, ...rest] = from.split(':');
    const [attempts, count, ...name] = rest.reverse();
    const owner = name.reverse().join(':');
    const isDead = owner.startsWith(CONSUMER_PREFIX) && !world.alive.has(owner);
    if (kind !== 'pending' || !isDead) return false;
    if (marked.has(of)) return to === 'done';
    if (Number(count) >= maxDeliveries) return to === 'dead:max-deliveries';
    return to === `pending:${consumer}:${Number(count) + 1}:${attempts}`;
  };
}
