import { PACED, PARKED, RELEASED, rateKeys } from '../../libs/queue/store/queue.keys.js';
import { ackKeyedScript, endedTasks } from '../../libs/queue/store/scripts/ack-keyed.script.js';
import { ackScript } from '../../libs/queue/store/scripts/ack.script.js';
import { healKeysScript } from '../../libs/queue/store/scripts/heal-keys.script.js';
import { healRatesScript } from '../../libs/queue/store/scripts/heal-rates.script.js';
import { promoteScript } from '../../libs/queue/store/scripts/promote.script.js';
import { publishLimitedScript } from '../../libs/queue/store/scripts/publish-limited.script.js';
import { purgeWaitingScript } from '../../libs/queue/store/scripts/purge.script.js';
import { removeWaitingScript } from '../../libs/queue/store/scripts/remove.script.js';
import { returnTasksScript } from '../../libs/queue/store/scripts/return-tasks.script.js';
import { returnUnstartedScript } from '../../libs/queue/store/scripts/return-unstarted.script.js';
import { settleFailureScript } from '../../libs/queue/store/scripts/settle-failure.script.js';
import { Keyspace } from '../../libs/redis/index.js';
import { recordOf, type HandedTask } from './order.world.js';
import { CONSUMERS, GROUP, INBOXES, type RateWorld } from './rate.world.js';

/** What a step did, in a few words. */
type RateStep = (world: RateWorld) => Promise<string>;

const LATER_MS = 1_000_000_000;
const KEYS = ['k', 'k1', 'other', undefined];
const ORDERING_KEYS = ['o', 'o1', ''];
/** Every task has an id of its own, whatever entry it has. */
const identity = (task: string): string => `task ${task}`;
const taskIn = (payload = ''): string => (JSON.parse(payload) as { task: string }).task;

function newTask(world: RateWorld): { task: string; payload: string; key: string; orderingKey: string } {
  const of = world.one(KEYS);
  const orderingKey = world.isOrdered ? (world.one(ORDERING_KEYS) ?? '') : '';
  const task = String(world.published.length);
  world.published.push(task);
  return { task, payload: JSON.stringify({ task, of }), key: of ?? '', orderingKey };
}

async function publish(world: RateWorld): Promise<string> {
  const { task, payload, key, orderingKey } = newTask(world);
  const meta = JSON.stringify({ id: identity(task) });
  const fields = ['payload', payload, 'timestamp', '1', 'retry_count', '0', 'meta', meta];
  if (orderingKey !== '') fields.push('ordering_key', orderingKey);
  await world.link.send('xadd', [world.keys.stream, '*', ...fields]);
  return `${task} of '${key}' ${orderingKey}`;
}

async function publishLater(world: RateWorld): Promise<string> {
  const { task, payload, key, orderingKey } = newTask(world);
  const handle = identity(task);
  const { stream, delayed, bodies, alive, side } = world.keys;
  await publishLimitedScript.run(world.link, {
    keys: { stream, delayed, bodies, alive },
    args: { limit: 1_000_000, side, inboxes: INBOXES, timestamp: '1' },
    rest: [handle, payload, JSON.stringify({ id: handle }), LATER_MS, -1, orderingKey],
  });
  return `${task} of '${key}' ${orderingKey}`;
}

async function promote(world: RateWorld): Promise<string> {
  const { link, keys } = world;
  for (const handle of await link.send<string[]>('zrange', [keys.delayed, 0, -1])) {
    if (!world.rests && world.pick(2) === 0) continue;
    await link.send('zadd', [keys.delayed, 'XX', world.pick(3), handle]);
  }
  const args = { limit: 1 + world.pick(5), unworked: 0, side: keys.side };
  return String((await promoteScript.run(link, { keys, args })).count);
}

async function take(world: RateWorld): Promise<string> {
  const consumer = world.one([...world.alive]) ?? '';
  if (consumer === '') return 'nobody';
  const { claimed, deadLetters, dueMs } = await world.take(consumer, 1 + world.pick(5));
  return `${consumer} ${claimed.map(({ id }) => id).join()}; dead ${deadLetters.join()}; due in ${dueMs}`;
}

/** Any process settles what it was once handed, at whatever time later. Without places, a late success counts. */
async function ack(world: RateWorld, of = world.one(world.handed)): Promise<string> {
  if (of === undefined) return 'nothing';
  const { link, keys, gates, retries, perKey } = world;
  if (perKey === 0) {
    const isThere = (await ownerOf(world, of)) !== undefined;
    const acked = await ackScript.run(link, {
      keys,
      args: { group: GROUP, count: 1 },
      rest: [of.id, of.id, identity(of.task)],
    });
    if (isThere) world.done.add(of.task);
    return `${of.task} by ${of.consumer}: ${acked}${await mend(world)}`;
  }
  const isMine = await pendsWith(world, of);
  const { rest, ...tasks } = endedTasks([{ ...of, taskId: identity(of.task) }]);
  const { acked } = await ackKeyedScript.run(link, {
    keys: { ...keys, ...gates, other: retries.stream, history: keys.dead },
    args: {
      ...{ group: GROUP, consumer: of.consumer, opensMost: 0, perKey, side: keys.side },
      ...{ inboxes: INBOXES, meta: '', kind: '', text: '', ...tasks },
    },
    rest,
  });
  if (acked !== (isMine ? 1 : 0)) throw new Error(`the acknowledgement of ${of.id} answered ${acked}`);
  if (isMine) world.done.add(of.task);
  return `${of.task} by ${of.consumer}: ${acked}`;
}

async function fail(world: RateWorld): Promise<string> {
  const of = world.one(world.handed);
  if (of === undefined) return 'nothing';
  const fate = (['dead', 'delayed', 'retried'] as const)[world.pick(3)] ?? 'dead';
  const { link, keys, retries, gates, perKey } = world;
  const isMine = await pendsWith(world, of);
  const { as: settlement } = await settleFailureScript.run(link, {
    keys: {
      ...{ ...keys, retry: retries.stream, retryDelayed: retries.delayed, retryBodies: retries.bodies },
      ...{ retryIndex: retries.index, failedTo: keys.dead, history: keys.dead },
    },
    args: {
      ...{ group: GROUP, consumer: of.consumer, id: of.id, deliveries: of.deliveries },
      ...{ attempts: String(of.attempts + 1), meta: JSON.stringify({ id: identity(of.task) }) },
      ...{ isDead: fate === 'dead' ? 1 : 0, reason: fate === 'dead' ? 'max-attempts' : '' },
      ...{ delayMs: fate === 'delayed' ? LATER_MS : 0, handle: identity(of.task), failure: '', stack: '' },
      ...{ inboxes: INBOXES, publishes: '', side: keys.side, isJson: 1, run: '' },
    },
    ...(perKey > 0 && {
      restKeys: [retries.stream, gates.gates, gates.line],
      rest: [of.key, 0, Number(world.isOrdered), perKey],
    }),
  });
  if (isMine && settlement !== fate) throw new Error(`the settlement of ${of.id} is ${settlement}, not ${fate}`);
  return `${of.task} by ${of.consumer}: ${settlement}`;
}

async function ownerOf({ link, keys }: RateWorld, { id }: HandedTask): Promise<readonly [string, number] | undefined> {
  type Pending = [string, string, number, number];
  const [row] = await link.send<Pending[]>('xpending', [keys.stream, GROUP, id, id, 1]);
  return row && [row[1], row[3]];
}

async function pendsWith(world: RateWorld, of: HandedTask): Promise<boolean> {
  const [owner, deliveries] = (await ownerOf(world, of)) ?? [];
  return owner === of.consumer && deliveries === of.deliveries;
}

/** At rest: a living process finishes all that it has. */
async function finish(world: RateWorld): Promise<string> {
  for (const of of [...world.handed]) if (await pendsWith(world, of)) await ack(world, of);
  return '';
}

async function giveBack(world: RateWorld): Promise<string> {
  const consumer = world.one(CONSUMERS) ?? '';
  const { stream, alive } = world.keys;
  const args = { group: GROUP, consumer, released: RELEASED, inboxes: INBOXES, surplus: 0 };
  const ids = await returnTasksScript.run(world.link, { keys: { stream, alive }, args });
  for (const id of ids) world.deliveries.set(id, (world.deliveries.get(id) ?? 1) - 1);
  return ids.join();
}

/** What a process has not started goes back with its start, at once or much later. */
async function giveBackStarts(world: RateWorld): Promise<string> {
  const consumer = world.one(CONSUMERS) ?? '';
  const { link, keys, rates, limit, perMs } = world;
  type Pending = [string, string, number, number];
  const rows = await link.send<Pending[]>('xpending', [keys.stream, GROUP, '-', '+', 10_000, consumer]);
  const ids = await returnUnstartedScript.run(link, {
    keys: { ...keys, grace: rateKeys(new Keyspace(), keys, GROUP).grace, rate: rates.rates },
    args: {
      ...{ group: GROUP, consumer, released: RELEASED, inboxes: INBOXES },
      ...{ limit, perMs, graceMs: 2, ratePath: 'of' },
    },
    restKeys: [rates.rateEnds, rates.rateDue],
    rest: rows.map(([id]) => id).filter(() => world.pick(2) === 0),
  });
  for (const id of ids) world.neverStarted(id);
  return ids.join();
}

async function crash(world: RateWorld): Promise<string> {
  const consumer = world.one(CONSUMERS) ?? '';
  if (world.alive.size === 1) return 'spared';
  world.alive.delete(consumer);
  await world.link.send('zrem', [world.keys.alive, consumer]);
  return consumer;
}

async function start(world: RateWorld): Promise<string> {
  const consumer = world.one(CONSUMERS) ?? '';
  await world.start(consumer);
  return consumer;
}

async function remove(world: RateWorld): Promise<string> {
  const { link, keys } = world;
  const row = world.one(await link.send<[string, string[]][]>('xrange', [keys.stream, '-', '+']));
  if (row === undefined) return 'nothing';
  const task = taskIn(recordOf(row[1])['payload']);
  const args = { released: RELEASED, id: row[0], task: identity(task), side: keys.side };
  if (!(await removeWaitingScript.run(link, { keys, args }))) return `${task} is with a worker`;
  world.done.add(task);
  return task + (await mend(world));
}

async function purge(world: RateWorld): Promise<string> {
  const { link, keys } = world;
  const idle = new Set([RELEASED, PARKED, PACED, 'unread']);
  for (const [task, [place = '']] of (await world.look()).places) if (idle.has(place)) world.done.add(task);
  const args = { group: GROUP, released: RELEASED, after: '', to: '', count: 10_000, side: keys.side };
  const { removed } = await purgeWaitingScript.run(link, { keys, args });
  return String(removed) + (await mend(world));
}

/** Somebody else deletes an entry, whoever has it, and acknowledges it. */
async function foreign(world: RateWorld): Promise<string> {
  const { link, keys } = world;
  const row = world.one(await link.send<[string, string[]][]>('xrange', [keys.stream, '-', '+']));
  if (row === undefined) return 'nothing';
  await link.send('xack', [keys.stream, GROUP, row[0]]);
  await link.send('xdel', [keys.stream, row[0]]);
  const task = taskIn(recordOf(row[1])['payload']);
  world.done.add(task);
  return task + (await mend(world));
}

/** What removes tasks leaves their places in line, until it is their turn: they are not looked at meanwhile. */
async function mend(world: RateWorld): Promise<string> {
  const { link, keys, gates, rates } = world;
  for (const line of [gates.line, rates.rateLine]) {
    for (const place of await link.send<string[]>('zrange', [line, 0, -1])) {
      const digits = place.slice(place.lastIndexOf('\0') + 1);
      const id = [digits.slice(0, 20), digits.slice(20, 40)].map((part) => part.replace(/^0+(?=\d)/, '')).join('-');
      const found = await link.send<unknown[]>('xrange', [keys.stream, id, id]);
      if (found.length === 0) await link.send('zrem', [line, place]);
    }
  }
  await healPlaces(world);
  return '';
}

async function healPlaces(world: RateWorld): Promise<number> {
  const { link, keys, retries, gates, perKey, keyPath } = world;
  if (perKey === 0) return 0;
  let [cursor, healed] = ['', 0];
  do {
    const page = await healKeysScript.run(link, {
      keys: { ...keys, ...gates, other: retries.stream, otherDelayed: retries.delayed, otherIndex: retries.index },
      args: {
        ...{ group: GROUP, consumer: CONSUMERS[0] ?? '', side: keys.side, inboxes: INBOXES },
        ...{ everyMs: 0, cursor, perKey, keyPath, key: '' },
      },
    });
    healed += page.opened + page.lined;
    ({ cursor } = page);
  } while (cursor !== '');
  return healed;
}

async function healRates({ link, keys, rates }: RateWorld): Promise<number> {
  let [cursor, healed] = ['', 0];
  do {
    const page = await healRatesScript.run(link, {
      keys: { ...keys, ...rates },
      args: { group: GROUP, side: keys.side, inboxes: INBOXES, everyMs: 0, cursor, ratePath: 'of' },
    });
    healed += page.healed;
    ({ cursor } = page);
  } while (cursor !== '');
  return healed;
}

async function heal(world: RateWorld): Promise<string> {
  return `${await healPlaces(world)} places, ${await healRates(world)} rates`;
}

/** What a healing may not do: everything is in its place. */
async function healNothing(world: RateWorld): Promise<string> {
  const told = await heal(world);
  if (told !== '0 places, 0 rates') throw new Error(`there was something to heal: ${told}`);
  return told;
}

/** Somebody deletes what is in line, or when the keys are due. */
async function lose(world: RateWorld): Promise<string> {
  const { rateLine, rateDue } = world.rates;
  await world.link.send('del', [world.one([rateLine, rateDue]) ?? '']);
  return heal(world);
}

export const RATE_STEPS: Readonly<Record<string, { weight: number; run: RateStep }>> = {
  publish: { weight: 12, run: publish },
  publishLater: { weight: 2, run: publishLater },
  promote: { weight: 3, run: promote },
  take: { weight: 16, run: take },
  ack: { weight: 10, run: (world) => ack(world) },
  fail: { weight: 6, run: fail },
  giveBack: { weight: 2, run: giveBack },
  giveBackStarts: { weight: 4, run: giveBackStarts },
  crash: { weight: 2, run: crash },
  start: { weight: 3, run: start },
  remove: { weight: 1, run: remove },
  purge: { weight: 1, run: purge },
  foreign: { weight: 1, run: foreign },
  lose: { weight: 1, run: lose },
  healNothing: { weight: 2, run: healNothing },
  heal: { weight: 0, run: heal },
  finish: { weight: 0, run: finish },
};
