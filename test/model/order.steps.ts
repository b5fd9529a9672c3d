import { PARKED, RELEASED } from '../../libs/queue/store/queue.keys.js';
import { ackKeyedScript, endedTasks } from '../../libs/queue/store/scripts/ack-keyed.script.js';
import { cancelScript } from '../../libs/queue/store/scripts/cancel.script.js';
import { healKeysScript } from '../../libs/queue/store/scripts/heal-keys.script.js';
import { promoteScript } from '../../libs/queue/store/scripts/promote.script.js';
import { publishLimitedScript } from '../../libs/queue/store/scripts/publish-limited.script.js';
import { purgeWaitingScript } from '../../libs/queue/store/scripts/purge.script.js';
import { redriveScript } from '../../libs/queue/store/scripts/redrive.script.js';
import { removeDelayedScript, removeWaitingScript } from '../../libs/queue/store/scripts/remove.script.js';
import { returnTasksScript } from '../../libs/queue/store/scripts/return-tasks.script.js';
import { runNowScript } from '../../libs/queue/store/scripts/run-now.script.js';
import { settleFailureScript } from '../../libs/queue/store/scripts/settle-failure.script.js';
import { CONSUMERS, GROUP, INBOXES, type HandedTask, type OrderWorld } from './order.world.js';

/** What a step did, in a few words. */
type OrderStep = (world: OrderWorld) => Promise<string>;

const LATER_MS = 1_000_000_000;
const KEYS = ['k', 'k1', 'other', ''];
/** Every task has an id of its own, whatever entry it has. */
const identity = (task: string): string => `task ${task}`;
const taskOf = (id: string): string => id.slice('task '.length);

async function publish(world: OrderWorld): Promise<string> {
  const key = world.one(KEYS) ?? '';
  const task = String(world.published.length);
  world.published.push(task);
  const meta = JSON.stringify({ id: identity(task) });
  const own = ['payload', world.payloadOf(task, key), 'timestamp', '1', 'retry_count', '0', 'meta', meta];
  const hasField = world.isOrdered && key !== '';
  await world.link.send('xadd', [world.keys.stream, '*', ...own, ...(hasField ? ['ordering_key', key] : [])]);
  world.enter(key, task);
  return `${task} of '${key}'`;
}

async function publishLater(world: OrderWorld): Promise<string> {
  const key = world.one(KEYS) ?? '';
  const task = String(world.published.length);
  world.published.push(task);
  const handle = identity(task);
  const { stream, delayed, bodies, alive, side } = world.keys;
  await publishLimitedScript.run(world.link, {
    keys: { stream, delayed, bodies, alive },
    args: { limit: 1_000_000, side, inboxes: INBOXES, timestamp: '1' },
    rest: [
      ...[handle, world.payloadOf(task, key), JSON.stringify({ id: handle }), LATER_MS, -1],
      world.isOrdered ? key : '',
    ],
  });
  return `${task} of '${key}'`;
}

async function promote(world: OrderWorld): Promise<string> {
  const { link, keys } = world;
  for (const handle of await link.send<string[]>('zrange', [keys.delayed, 0, -1])) {
    if (!world.rests && world.pick(2) === 0) continue;
    await link.send('zadd', [keys.delayed, 'XX', world.pick(3), handle]);
  }
  const before = await link.send<[string, string[]][]>('xrevrange', [keys.stream, '+', '-', 'COUNT', 1]);
  const { count } = await promoteScript.run(link, {
    keys,
    args: { limit: 1 + world.pick(5), unworked: 0, side: keys.side },
  });
  const from = before[0] ? `(${before[0][0]}` : '-';
  for (const [, fields] of await link.send<[string, string[]][]>('xrange', [keys.stream, from, '+'])) {
    const { task, key } = world.readEntry(fields);
    world.enter(key, task);
  }
  return String(count);
}

async function take(world: OrderWorld): Promise<string> {
  const consumer = world.one([...world.alive]) ?? '';
  if (consumer === '') return 'nobody';
  const { claimed, deadLetters, cancelled } = await world.take(consumer, 1 + world.pick(5));
  for (const id of cancelled) world.done.add(taskOf(id));
  return `${consumer} ${claimed.map(({ id }) => id).join()}; dead ${deadLetters.join()}; cancelled ${cancelled.join()}`;
}

/** Any process settles what it was once handed, at whatever time later: one task, or several in one step. */
async function ack(world: OrderWorld, of = world.one(world.handed)): Promise<string> {
  if (of === undefined) return 'nothing';
  const others = world.rests ? [] : world.handed.filter(({ consumer }) => consumer === of.consumer);
  const batch = new Map([...others.filter(() => world.pick(3) === 0), of].map((each) => [each.id, each]));
  const mine: HandedTask[] = [];
  for (const each of batch.values()) if (await pendsWith(world, each)) mine.push(each);
  const { link, keys, gates, retries } = world;
  const { rest, ...tasks } = endedTasks([...batch.values()].map((each) => ({ ...each, taskId: identity(each.task) })));
  const { acked, opened } = await ackKeyedScript.run(link, {
    keys: { ...keys, ...gates, other: retries.stream, history: keys.dead },
    args: {
      ...{ group: GROUP, consumer: of.consumer, opensMost: world.pick(3), perKey: world.places, side: keys.side },
      ...{ inboxes: INBOXES, meta: '', kind: '', text: '', ...tasks },
    },
    rest,
  });
  if (acked !== mine.length) throw new Error(`the acknowledgement of ${[...batch.keys()].join()} answered ${acked}`);
  for (const { task } of mine) world.done.add(task);
  for (const { id, deliveries, fields } of opened) world.hand(of.consumer, id, deliveries, fields);
  return `${[...batch.values()].map(({ task }) => task).join()} by ${of.consumer}: ${acked}, opened ${opened.map(({ id }) => id).join()}`;
}

async function fail(world: OrderWorld): Promise<string> {
  const of = world.one(world.handed);
  if (of === undefined) return 'nothing';
  const fate = (['dead', 'delayed', 'retried'] as const)[world.pick(3)] ?? 'dead';
  const { link, keys, retries, gates } = world;
  const isMine = await pendsWith(world, of);
  const { as: settlement } = await settleFailureScript.run(link, {
    keys: {
      ...{ ...keys, retry: retries.stream, retryDelayed: retries.delayed, retryBodies: retries.bodies },
      ...{ retryIndex: retries.index, failedTo: keys.dead, history: keys.dead },
    },
    args: {
      run: '',
      ...{ group: GROUP, consumer: of.consumer, id: of.id, deliveries: of.deliveries },
      ...{ attempts: String(of.attempts + 1), meta: JSON.stringify({ id: identity(of.task) }) },
      ...{ isDead: fate === 'dead' ? 1 : 0, reason: fate === 'dead' ? 'max-attempts' : '' },
      ...{ delayMs: fate === 'delayed' ? LATER_MS : 0, handle: identity(of.task), failure: '', stack: '' },
      ...{ inboxes: INBOXES, publishes: '', side: keys.side, isJson: 1 },
    },
    restKeys: [retries.stream, gates.gates, gates.line],
    rest: [of.key, 0, world.isOrdered ? 1 : 0, world.places],
  });
  const wanted = world.marked.has(of.id) ? 'cancelled' : fate;
  if (isMine && settlement !== wanted) throw new Error(`the settlement of ${of.id} is ${settlement}, not ${wanted}`);
  if (settlement === 'cancelled') world.done.add(of.task);
  return `${of.task} by ${of.consumer}: ${settlement}`;
}

async function pendsWith({ link, keys }: OrderWorld, of: HandedTask): Promise<boolean> {
  const rows = await link.send<[string, string, number, number][]>('xpending', [keys.stream, GROUP, of.id, of.id, 1]);
  return rows[0]?.[1] === of.consumer && rows[0][3] === of.deliveries;
}

/** At rest: a living process finishes all that it has. */
async function finish(world: OrderWorld): Promise<string> {
  for (const of of [...world.handed]) if (await pendsWith(world, of)) await ack(world, of);
  return '';
}

async function giveBack(world: OrderWorld): Promise<string> {
  const consumer = world.one(CONSUMERS) ?? '';
  const { stream, alive } = world.keys;
  const args = { group: GROUP, consumer, released: RELEASED, inboxes: INBOXES, surplus: 0 };
  return (await returnTasksScript.run(world.link, { keys: { stream, alive }, args })).join();
}

async function crash(world: OrderWorld): Promise<string> {
  const consumer = world.one(CONSUMERS) ?? '';
  if (world.alive.size === 1) return 'spared';
  world.alive.delete(consumer);
  await world.link.send('zrem', [world.keys.alive, consumer]);
  return consumer;
}

async function start(world: OrderWorld): Promise<string> {
  const consumer = world.one(CONSUMERS) ?? '';
  await world.start(consumer);
  return consumer;
}

async function remove(world: OrderWorld): Promise<string> {
  const { link, keys } = world;
  const { side } = keys;
  const rows = await link.send<[string, string[]][]>('xrange', [keys.stream, '-', '+']);
  const row = world.one(rows);
  if (row === undefined) return 'nothing';
  const { task } = world.readEntry(row[1]);
  const args = { released: RELEASED, id: row[0], task: identity(task), side };
  if (!(await removeWaitingScript.run(link, { keys, args }))) return `${task} is with a worker`;
  world.done.add(task);
  await mend(world);
  return task;
}

async function removeLater(world: OrderWorld): Promise<string> {
  const { link, keys } = world;
  const handle = world.one(await link.send<string[]>('zrange', [keys.delayed, 0, -1]));
  if (handle === undefined) return 'nothing';
  await removeDelayedScript.run(link, { keys, args: { handle, side: keys.side } });
  world.done.add(taskOf(handle));
  await mend(world);
  return handle;
}

async function purge(world: OrderWorld): Promise<string> {
  const { link, keys } = world;
  const idle = new Set([RELEASED, PARKED, 'unread']);
  for (const [task, [place = '']] of (await world.look()).places) if (idle.has(place)) world.done.add(task);
  const args = { group: GROUP, released: RELEASED, after: '', to: '', count: 10_000, side: keys.side };
  const { removed } = await purgeWaitingScript.run(link, { keys, args });
  await mend(world);
  return String(removed);
}

async function redrive(world: OrderWorld): Promise<string> {
  const { link, keys, retries } = world;
  const rows = await link.send<[string, string[]][]>('xrange', [keys.dead, '-', '+']);
  const row = world.one(rows);
  if (row === undefined) return 'nothing';
  const { task, key } = world.readEntry(row[1]);
  const { moved } = await redriveScript.run(link, {
    keys: { ...keys, retryStream: retries.stream, retryIndex: retries.index },
    args: { group: GROUP },
    rest: [row[0], identity(task), JSON.stringify({ id: identity(task) })],
  });
  // It is at the end of its key now, and begins anew.
  for (const list of [world.entered.get(key), world.started.get(key)])
    list?.splice(list.indexOf(task), list.includes(task) ? 1 : 0);
  world.enter(key, task);
  return `${task}: ${moved}`;
}

/** A task that a worker has is cancelled: the end of its run drops it, unless it is a success. */
async function cancel(world: OrderWorld): Promise<string> {
  const { link, keys } = world;
  const rows = await link.send<[string, string][]>('xpending', [keys.stream, GROUP, '-', '+', 1_000]);
  const [id] = world.one(rows.filter(([, owner]) => CONSUMERS.includes(owner))) ?? [];
  if (id === undefined) return 'nothing';
  const args = { group: GROUP, id, inboxes: INBOXES };
  if (!(await cancelScript.run(link, { keys, args }))) throw new Error(`${id} was not marked`);
  world.marked.add(id);
  return id;
}

async function runNow(world: OrderWorld): Promise<string> {
  const { link, keys } = world;
  const handle = world.one(await link.send<string[]>('zrange', [keys.delayed, 0, -1]));
  if (handle === undefined) return 'nothing';
  const args = { handle, target: keys.stream, inboxes: INBOXES };
  if (!(await runNowScript.run(link, { keys, args }))) throw new Error(`${handle} was not due`);
  return handle;
}

/** Somebody else deletes an entry, whoever has it, and acknowledges it. */
async function foreign(world: OrderWorld): Promise<string> {
  const { link, keys } = world;
  const row = world.one(await link.send<[string, string[]][]>('xrange', [keys.stream, '-', '+']));
  if (row === undefined) return 'nothing';
  await link.send('xack', [keys.stream, GROUP, row[0]]);
  await link.send('xdel', [keys.stream, row[0]]);
  const { task } = world.readEntry(row[1]);
  world.done.add(task);
  await mend(world);
  return task;
}

/** What removes tasks leaves their places in line, until it is their turn: they are not looked at meanwhile. */
async function mend(world: OrderWorld): Promise<void> {
  const { link, keys, gates } = world;
  for (const place of await link.send<string[]>('zrange', [gates.line, 0, -1])) {
    const digits = place.slice(place.lastIndexOf('\0') + 1);
    const id = [digits.slice(0, 20), digits.slice(20, 40)].map((part) => part.replace(/^0+(?=\d)/, '')).join('-');
    if ((await link.send<unknown[]>('xrange', [keys.stream, id, id])).length === 0) {
      await link.send('zrem', [gates.line, place]);
    }
  }
  await heal(world);
}

async function heal(world: OrderWorld): Promise<string> {
  const { link, keys, retries, gates } = world;
  let [cursor, opened, lined] = ['', 0, 0];
  do {
    const healed = await healKeysScript.run(link, {
      keys: { ...keys, ...gates, other: retries.stream, otherDelayed: retries.delayed, otherIndex: retries.index },
      args: {
        ...{ group: GROUP, consumer: CONSUMERS[0] ?? '', side: keys.side, inboxes: INBOXES },
        ...{ everyMs: 0, cursor, perKey: world.places, keyPath: world.keyPath, key: '' },
      },
    });
    opened += healed.opened;
    lined += healed.lined;
    ({ cursor } = healed);
  } while (cursor !== '');
  return `${opened} opened, ${lined} in line again`;
}

/** What a healing may not do: everything is in its place. */
async function healNothing(world: OrderWorld): Promise<string> {
  const told = await heal(world);
  if (told !== '0 opened, 0 in line again') throw new Error(`there was something to heal: ${told}`);
  return told;
}

/** Somebody deletes what is in line, or which gates are held. Either is made anew of the other. */
async function loseLine(world: OrderWorld): Promise<string> {
  await world.link.send('del', [world.gates.line]);
  return heal(world);
}

export const ORDER_STEPS: Readonly<Record<string, { weight: number; run: OrderStep }>> = {
  publish: { weight: 12, run: publish },
  publishLater: { weight: 2, run: publishLater },
  promote: { weight: 3, run: promote },
  take: { weight: 12, run: take },
  ack: { weight: 10, run: (world) => ack(world) },
  fail: { weight: 6, run: fail },
  giveBack: { weight: 2, run: giveBack },
  crash: { weight: 2, run: crash },
  start: { weight: 3, run: start },
  remove: { weight: 1, run: remove },
  removeLater: { weight: 1, run: removeLater },
  purge: { weight: 1, run: purge },
  redrive: { weight: 2, run: redrive },
  cancel: { weight: 2, run: cancel },
  runNow: { weight: 1, run: runNow },
  foreign: { weight: 1, run: foreign },
  loseLine: { weight: 1, run: loseLine },
  healNothing: { weight: 2, run: healNothing },
  heal: { weight: 0, run: heal },
  finish: { weight: 0, run: finish },
};
