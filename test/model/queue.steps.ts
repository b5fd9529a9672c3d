import { CONSUMER_PREFIX, RELEASED, type QueueKeys } from '../../libs/queue/store/queue.keys.js';
import { delayScript } from '../../libs/queue/store/scripts/delay.script.js';
import { returnTasksScript } from '../../libs/queue/store/scripts/return-tasks.script.js';
import { janitorScript } from '../../libs/queue/store/scripts/janitor.script.js';
import { leaveScript } from '../../libs/queue/store/scripts/leave.script.js';
import { promoteScript } from '../../libs/queue/store/scripts/promote.script.js';
import { reapScript } from '../../libs/queue/store/scripts/reap.script.js';
import { reconcileScript } from '../../libs/queue/store/scripts/reconcile.script.js';
import { settleFailureScript } from '../../libs/queue/store/scripts/settle-failure.script.js';
import { KEY_STEPS } from './key.steps.js';
import { publishToLevel } from './level.steps.js';
import { takeStep } from './limited.steps.js';
import { commitNoted } from './noted.steps.js';
import { OPERATOR_STEPS } from './operator.steps.js';
import type { Handed, World } from './queue.world.js';
import { acknowledgeAsWorker, publishAwaited, publishMembers, resultOf } from './settled.steps.js';
import type { Pick, Rule, Step } from './step.js';

export const MAX_DELIVERIES = 4;
const ISOLATED_FROM = 3;
export const CONSUMERS = ['a', 'b', 'c'].map((name) => CONSUMER_PREFIX + name);
const FOREIGN = 'python';
/** Nothing comes due by itself. */
const LATER_MS = 1_000_000_000;
const INBOXES = 'model:inbox:';
/** Beyond any clock. */
const FOR_EVER = 9_000_000_000_000;

const nothing: Rule = () => false;
const one = <T>(of: readonly T[], pick: Pick): T | undefined => of[pick(Math.max(1, of.length))];
const key = ({ group, task }: Handed): string => `${group} ${task}`;
/** What keeps the id of a task, once it has been settled or delayed. */
const metaOf = (handle: string): string => JSON.stringify({ id: handle });
/** A reader reads the queue or its group's retries. */
const streamFor = (world: World, group: string, pick: Pick): QueueKeys =>
  pick(3) === 0 ? world.retryKeysOf(group) : world.keys;

/** As a worker opens what it reads. False: there is no such stream, and so far it is not wanted. */
async function open({ link }: World, stream: string, group: string): Promise<boolean> {
  if ((await link.send('exists', [stream])) === 0) return false;
  await link.send('xgroup', ['CREATE', stream, group, '0']).catch(() => {});
  return true;
}

async function add(world: World, fields: (payload: string) => (string | number)[]): Promise<Rule> {
  const payload = world.newTask();
  await world.link.send('xadd', [world.keys.stream, '*', ...fields(payload)]);
  return (of, from, to) => of.endsWith(` ${payload}`) && from === undefined && to === 'waiting:0';
}

/** Reads as `consumer`, if there is a group to read. */
async function read(world: World, consumer: string, pick: Pick): Promise<Rule> {
  const group = one(world.groups, pick) ?? '';
  const { stream } = streamFor(world, group, pick);
  if (!(await open(world, stream, group))) return nothing;
  await world.link.send('xreadgroup', ['GROUP', group, consumer, 'COUNT', 1 + pick(4), 'STREAMS', stream, '>']);
  return (of, from, to) =>
    of.startsWith(`${group} `) &&
    from?.startsWith('waiting:') === true &&
    to === `pending:${consumer}:1:${from.slice(8)}`;
}

/** It is acknowledged by whoever: success is not fenced. */
async function acknowledge(
  world: World,
  handed: Handed | undefined,
  send: (handed: Handed) => Promise<number>,
  isSeen = true,
): Promise<Rule> {
  if (handed === undefined) return nothing;
  const pends = world.last.pending.some(
    (each) => each.keys === handed.keys && each.group === handed.group && each.id === handed.id,
  );
  const acked = await send(handed);
  if (acked < 0) return nothing;
  if (acked !== (pends ? 1 : 0)) throw new Error(`the acknowledgement of ${handed.id} answered ${acked}`);
  if (acked === 1) world.settle(handed, isSeen ? { how: 'completed', text: resultOf(handed) } : { how: 'unseen' });
  return (of, _, to) => pends && of === key(handed) && to === 'done';
}

/** A run that failed is settled as it was handed out, at whatever time later. */
async function fail(world: World, handed: Handed | undefined, pick: Pick): Promise<Rule> {
  if (handed === undefined) return nothing;
  const { group, keys, id, handle, consumer, deliveries, attempts } = handed;
  const isCancelled = world.isMarked(handed);
  const now = world.last.pending.find((each) => each.keys === keys && each.group === group && each.id === id);
  const mine = now?.consumer === consumer && now.deliveries === deliveries;
  const fate = (['dead', 'delayed', 'retried', 'retried'] as const)[pick(4)] ?? 'dead';
  const { stream: retry, delayed: retryDelayed, bodies: retryBodies, index: retryIndex } = world.retryKeysOf(group);
  const { as: settlement } = await settleFailureScript.run(world.link, {
    keys: { history: keys.dead, ...keys, failedTo: keys.dead, retry, retryDelayed, retryBodies, retryIndex },
    args: {
      run: '',
      ...{ group, consumer, id, deliveries, attempts: String(attempts + 1) },
      ...{ handle, meta: world.ends.textOf(handed) },
      ...{
        isDead: fate === 'dead' ? 1 : 0,
        reason: fate === 'dead' ? 'max-attempts' : '',
        delayMs: fate === 'delayed' ? LATER_MS : 0,
      },
      ...{ failure: 'Error: no', stack: '', inboxes: INBOXES, publishes: '', side: keys.side, isJson: 1 },
    },
  });
  const wanted = mine ? (isCancelled ? 'cancelled' : fate) : now ? 'fenced' : 'stale';
  if (settlement !== wanted) throw new Error(`the settlement of ${id} is ${settlement}, not ${wanted}`);
  if (settlement === 'cancelled') world.settle(handed, { how: 'cancelled' });
  if (settlement === 'dead') world.settle(handed, { how: 'failed', reason: 'max-attempts' });
  if (isCancelled) return (of, _, place) => mine && of === key(handed) && place === 'done';
  const to = { dead: 'dead:max-attempts', delayed: `delayed:${attempts + 1}`, retried: `waiting:${attempts + 1}` }[
    fate
  ];
  return (of, _, place) => mine && of === key(handed) && place === to;
}

async function publishLater(world: World): Promise<Rule> {
  if (world.priority !== 'normal') return publishToLevel(world, LATER_MS);
  const payload = world.newTask();
  await delayScript.run(world.link, {
    keys: world.keys,
    args: { delayMs: LATER_MS, runAtMs: -1, inboxes: INBOXES, timestamp: '1' },
    rest: [`task-${payload}`, payload, metaOf(`task-${payload}`)],
  });
  return (of, from, to) => of.endsWith(` ${payload}`) && from === undefined && to === 'delayed:0';
}

/** Some of what is delayed is due now. */
async function promote(world: World, pick: Pick): Promise<Rule> {
  const group = one(world.groups, pick) ?? '';
  const keys = streamFor(world, group, pick);
  const all = await world.link.send<string[]>('zrange', [keys.delayed, 0, -1]);
  // What is left where it is comes last, or it would be all that a step looks at.
  for (const handle of all.filter(() => pick(2) === 0))
    await world.link.send('zadd', [keys.delayed, 'XX', world.isHeld(handle) ? 1 : 0, handle]);
  const limit = 1 + pick(4);
  const due = await world.link.send<string[]>('zrangebyscore', [keys.delayed, 0, 1, 'LIMIT', 0, limit]);
  const held = new Set(due.filter((handle) => world.isHeld(handle)));
  const heldTasks = new Set(world.last.rows.filter(({ handle }) => held.has(handle)).map(({ task }) => task));
  const { count } = await promoteScript.run(world.link, { keys, args: { limit, unworked: 0, side: keys.side } });
  if (count !== due.length - held.size) throw new Error(`${count} of ${due.length - held.size} were promoted`);
  for (const handle of due) {
    if (held.has(handle)) await world.link.send('zadd', [keys.delayed, 'XX', FOR_EVER, handle]);
    else world.follows.delete(handle);
  }
  return (of, from, to) =>
    from?.startsWith('delayed:') === true &&
    to === `waiting:${from.slice(8)}` &&
    !heldTasks.has(of.slice(of.indexOf(' ') + 1));
}

async function reap(world: World, pick: Pick): Promise<Rule> {
  const consumer = one([...world.alive], pick);
  const group = one(world.groups, pick) ?? '';
  const keys = streamFor(world, group, pick);
  const { stream } = keys;
  if (consumer === undefined || !(await open(world, stream, group))) return nothing;
  const mine = world.last.pending.filter(
    (each) => each.group === group && each.consumer === consumer && each.keys.stream === stream,
  );
  const alone = mine.some(({ deliveries }) => deliveries >= ISOLATED_FROM);
  const capacity = pick(5);
  const foreignIdleMs = pick(2);
  const marked = world.markedTasks();
  const { claimed, deadLetters, cancelled } = await reapScript.run(world.link, {
    keys: { history: keys.dead, ...keys, failedTo: keys.dead },
    args: {
      keep: 0,
      level: '-',
      ...{ group, consumer, leaseMs: 1, sinceMs: 0, endsMs: FOR_EVER, capacity, maxDeliveries: MAX_DELIVERIES },
      ...{ alone: alone ? 1 : 0, foreignIdleMs, released: RELEASED, prefix: CONSUMER_PREFIX, publishes: '' },
      ...{ side: keys.side, inboxes: INBOXES },
    },
  });
  const isolated = claimed.filter(({ deliveries }) => deliveries >= ISOLATED_FROM).length + (alone ? 1 : 0);
  if (claimed.length > capacity) throw new Error(`${claimed.length} were taken over, with room for ${capacity}`);
  if (isolated > 1) throw new Error(`${isolated} are to run alone`);
  world.settleAll(group, deadLetters, { how: 'failed', reason: 'max-deliveries' });
  world.settleAll(group, cancelled, { how: 'cancelled' });
  return (of, from, to) => {
    const [kind, ...rest] = (from ?? '').split(':');
    const [attempts, count, ...name] = rest.reverse();
    const owner = name.reverse().join(':');
    const ofDead = owner === FOREIGN ? foreignIdleMs > 0 : !world.alive.has(owner);
    if (!of.startsWith(`${group} `) || kind !== 'pending' || !ofDead) return false;
    if (marked.has(of)) return to === 'done';
    if (Number(count) >= MAX_DELIVERIES) return to === 'dead:max-deliveries';
    return to === `pending:${consumer}:${Number(count) + 1}:${attempts}`;
  };
}

/** Gives everything of one consumer back; `leaves` as a process that stops. */
async function returnTasks(world: World, pick: Pick, leaves: boolean): Promise<Rule> {
  const consumer = one(CONSUMERS, pick) ?? '';
  const given = [...world.groups];
  for (const group of given) {
    for (const { stream, alive } of [world.keys, world.retryKeysOf(group)]) {
      if (!(await open(world, stream, group))) continue;
      const args = { group, consumer, released: RELEASED, inboxes: ':~inbox:0:', surplus: 0 };
      await returnTasksScript.run(world.link, { keys: { stream, alive }, args });
      if (leaves) await leaveScript.run(world.link, { keys: { stream, alive }, args: { group, consumer } });
    }
  }
  if (leaves) world.alive.delete(consumer);
  return (_, from, to) => {
    const [attempts, count, ...name] = (from ?? '').split(':').reverse();
    if (name.reverse().join(':') !== `pending:${consumer}`) return false;
    return to === `pending:${RELEASED}:${Math.max(0, Number(count) - 1)}:${attempts}`;
  };
}

async function reconcile(world: World, pick: Pick): Promise<Rule> {
  const consumer = one(CONSUMERS, pick) ?? '';
  const group = one(world.groups, pick) ?? '';
  if (!(await open(world, world.keys.stream, group))) return nothing;
  const mine = world.last.pending.filter(
    (each) => each.group === group && each.consumer === consumer && each.keys === world.keys,
  );
  const known = mine.filter(() => pick(2) === 0).map(({ id }) => id);
  const { pending, lost } = await reconcileScript.run(world.link, {
    keys: { stream: world.keys.stream },
    args: { group, consumer, capacity: 100, minIdleMs: 0 },
    rest: known,
  });
  const found = new Set([...known, ...lost.map(({ id }) => id)]);
  if (
    pending.size !== mine.length ||
    !mine.every(({ id, deliveries }) => found.has(id) && pending.get(id) === deliveries)
  ) {
    throw new Error(
      `${consumer} has ${mine.length} pending and was told of ${pending.size}, ${lost.length} of them lost`,
    );
  }
  return nothing;
}

/** Walks over all there is. */
async function clean(world: World, pick: Pick): Promise<Rule> {
  const slice = 1 + pick(4);
  for (const group of world.groups) {
    const { stream: retry, delayed: retryDelayed } = world.retryKeysOf(group);
    for (const { stream, index } of [world.keys, world.retryKeysOf(group)]) {
      let cursor = '';
      const keys = { stream, index, retry, retryDelayed, uses: world.keys.uses };
      do ({ cursor } = await janitorScript.run(world.link, { keys, args: { cursor, slice } }));
      while (cursor !== '');
    }
  }
  return nothing;
}

async function live(world: World, consumer: string, lives: boolean): Promise<Rule> {
  if (lives) await world.link.send('zadd', [world.keys.alive, FOR_EVER, consumer]);
  else await world.link.send('zrem', [world.keys.alive, consumer]);
  world.alive[lives ? 'add' : 'delete'](consumer);
  return nothing;
}

/** The processes that had a task have died with it, one after the other: it may not be delivered again. */
async function deliverOften(world: World, pick: Pick): Promise<Rule> {
  const ours = world.last.pending.filter(({ consumer }) => CONSUMERS.includes(consumer));
  const members = ours.filter((each) => world.ends.metaOf(each).join !== undefined);
  const handed = one(members.length > 0 ? members : ours, pick);
  if (handed === undefined) return nothing;
  const { group, keys, id, consumer, attempts } = handed;
  const claim = [keys.stream, group, consumer, 0, id, 'RETRYCOUNT', MAX_DELIVERIES, 'JUSTID'];
  await world.link.send('xclaim', claim);
  return (of, _, to) => of === key(handed) && to === `pending:${consumer}:${MAX_DELIVERIES}:${attempts}`;
}

const ack = (world: World, handed: Handed | undefined, pick: Pick): Promise<Rule> =>
  acknowledge(world, handed, (each) => acknowledgeAsWorker(world, each, pick));

/** By name, each with how often it comes among the others. */
export const STEPS: Readonly<Record<string, { weight: number; run: Step }>> = {
  publish: {
    weight: 4,
    run: (world) =>
      world.priority === 'normal'
        ? add(world, (payload) => ['payload', payload, 'timestamp', 1, 'retry_count', 0, 'meta', ''])
        : publishToLevel(world, -1),
  },
  foreignPublish: {
    weight: 1,
    run: async (world) => {
      // Other software knows the queue's own stream.
      if (world.priority !== 'normal') return nothing;
      return add(world, (payload) => ['retry_count', 0, 'timestamp', 1, 'x', 'y', 'payload', payload]);
    },
  },
  read: { weight: 5, run: (world, pick) => read(world, one(CONSUMERS, pick) ?? '', pick) },
  foreignRead: { weight: 1, run: (world, pick) => read(world, FOREIGN, pick) },
  ack: { weight: 3, run: (world, pick) => ack(world, one(world.last.pending, pick), pick) },
  zombieAck: { weight: 1, run: (world, pick) => ack(world, one(world.history, pick), pick) },
  commit: { weight: 2, run: (world, pick) => commitNoted(world, one(world.last.pending, pick), pick) },
  zombieCommit: { weight: 2, run: (world, pick) => commitNoted(world, one(world.history, pick), pick) },
  foreignAck: {
    weight: 1,
    run: (world, pick) =>
      acknowledge(
        world,
        one(world.last.pending, pick),
        ({ group, keys, id }) => world.link.send<number>('xack', [keys.stream, group, id]),
        false,
      ),
  },
  fail: { weight: 3, run: (world, pick) => fail(world, one(world.last.pending, pick), pick) },
  zombieFail: { weight: 2, run: (world, pick) => fail(world, one(world.history, pick), pick) },
  publishLater: { weight: 2, run: publishLater },
  promote: { weight: 2, run: promote },
  crash: { weight: 2, run: (world, pick) => live(world, one(CONSUMERS, pick) ?? '', false) },
  start: { weight: 3, run: (world, pick) => live(world, one(CONSUMERS, pick) ?? '', true) },
  deliverOften: { weight: 1, run: deliverOften },
  reap: { weight: 4, run: reap },
  take: {
    weight: 3,
    run: takeStep({
      ...{ maxDeliveries: MAX_DELIVERIES, isolatedFrom: ISOLATED_FROM },
      stream: async (world, group, pick) => {
        const { stream } = streamFor(world, group, pick);
        return (await open(world, stream, group)) ? stream : undefined;
      },
    }),
  },
  returnTasks: { weight: 1, run: (world, pick) => returnTasks(world, pick, false) },
  leave: { weight: 1, run: (world, pick) => returnTasks(world, pick, true) },
  ...KEY_STEPS,
  ...OPERATOR_STEPS,
  publishAwaited: { weight: 2, run: publishAwaited },
  publishMembers: { weight: 3, run: publishMembers },
  reconcile: { weight: 1, run: reconcile },
  clean: { weight: 1, run: clean },
};
