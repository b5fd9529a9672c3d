import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Redis } from 'ioredis';
import { GROUP, QueueScriptBed, task } from '../../../../test/support/queue-script-bed.js';
import { until } from '../../../../test/support/until.js';
import { INBOX_MAX_BYTES, Keyspace, unframe } from '../../../redis/index.js';
import { CONSUMER_PREFIX, RELEASED, queueKeys, resultKey, retryKeys, waitersKey } from '../queue.keys.js';
import { cancelScript } from './cancel.script.js';
import { completeScript, type Completed } from './complete.script.js';
import { reapScript } from './reap.script.js';
import { settleFailureScript } from './settle-failure.script.js';

const ME = `${CONSUMER_PREFIX}me`;
const OTHER = `${CONSUMER_PREFIX}other`;
const INBOXES = ':~inbox:0:';
const PROCESS = 'host:7:abc-0123456789ab';
const TOKEN = 'a-token-of-22-charact_';
const WAIT_MS = 600_000;
const keys = queueKeys(new Keyspace(), 'tasks');
const own = retryKeys(new Keyspace(), 'tasks', GROUP);
const DIGEST = 'the-digest-of-some-key';
const KEPT = resultKey(keys, TOKEN);
const bed = new QueueScriptBed(keys.stream);

const metaOf = (over: { ms?: number; group?: string; token?: string } = {}): string => {
  const { ms = WAIT_MS, group = GROUP, token = TOKEN } = over;
  return JSON.stringify({ reply: `${PROCESS} ${token} ${ms} ${group}` });
};

/** What the waiting process hears. */
const heard: (string[] | undefined)[] = [];
let subscriber: Redis;
beforeEach(async () => {
  heard.length = 0;
  subscriber = bed.admin.duplicate();
  subscriber.on('messageBuffer', (_channel: Buffer, message: Buffer) => heard.push(unframe(message)));
  await subscriber.subscribe(INBOXES + PROCESS);
});
afterEach(() => {
  subscriber.disconnect();
});
/** All that was told before is heard. */
async function hearAll(): Promise<(string[] | undefined)[]> {
  await bed.admin.publish(INBOXES + PROCESS, '3:end');
  await until(() => heard.at(-1)?.[0] === 'end', { what: 'the last message is heard' });
  return heard.filter((parts) => parts?.[0] !== 'end');
}

const complete = (
  id: string,
  over: { meta?: string; text?: string; task?: string; stream?: string; group?: string } = {},
): Promise<Completed> => {
  const { stream = keys.stream, ...args } = over;
  return completeScript.run(bed.link, {
    keys: { history: keys.dead, stream, index: keys.index, result: KEPT, waiters: waitersKey(keys, DIGEST) },
    args: {
      run: '',
      ...{ group: GROUP, id, task: id, meta: metaOf(), side: keys.side, inboxes: INBOXES, kind: 'returned', text: '7' },
      ...args,
    },
  });
};
const settle = async (id: string, meta: string, isDead: number): Promise<unknown> => {
  const { as } = await settleFailureScript.run(bed.link, {
    keys: {
      history: keys.dead,
      ...{ ...keys, failedTo: keys.dead, retry: own.stream, retryDelayed: own.delayed },
      ...{ retryBodies: own.bodies, retryIndex: own.index },
    },
    args: {
      run: '',
      ...{
        group: GROUP,
        consumer: ME,
        id,
        deliveries: 1,
        attempts: '3',
        meta,
        isDead,
        reason: 'max-attempts',
        delayMs: 0,
      },
      ...{ handle: id, failure: 'Error: "no"', stack: '', inboxes: INBOXES, publishes: '', isJson: 1, side: keys.side },
    },
  });
  return as;
};
const reap = async (): Promise<unknown> => {
  const now = await bed.serverMs();
  await bed.admin.zadd(keys.alive, now + 120_000, ME);
  return reapScript.run(bed.link, {
    keys: { history: keys.dead, ...keys, failedTo: keys.dead },
    args: {
      keep: 0,
      level: '-',
      ...{ group: GROUP, consumer: ME, leaseMs: 60_000, sinceMs: now - 60_000, endsMs: now + 60_000, capacity: 10 },
      ...{ maxDeliveries: 5, alone: 0, foreignIdleMs: 0, released: RELEASED, prefix: CONSUMER_PREFIX, publishes: '' },
      ...{ side: keys.side, inboxes: INBOXES },
    },
  });
};
const failed = (how: string, reason: string, error: string, attempts: number): unknown[] => [
  ['queue:result', TOKEN, 'failed', expect.any(String)],
  { how, reason, error, attempts },
];
const toldFailure = async (): Promise<unknown[]> => {
  const told = await hearAll();
  expect(told).toHaveLength(1);
  expect(await bed.admin.get(KEPT)).toBe(`failed ${told[0]![3]}`);
  return [told[0], JSON.parse(told[0]![3]!) as unknown];
};

describe('a task whose publisher waits', () => {
  it('is acknowledged and deleted, and its result is told and kept until the wait is over, in one step', async () => {
    const id = await bed.pendingTask(ME);
    expect(await complete(id)).toBe('done');
    expect(await bed.pending()).toEqual({});
    expect(await bed.admin.xlen(keys.stream)).toBe(0);
    expect(await hearAll()).toEqual([['queue:result', TOKEN, 'returned', '7']]);
    expect(await bed.admin.get(KEPT)).toBe('returned 7');
    const leftMs = await bed.admin.pttl(KEPT);
    expect(leftMs).toBeGreaterThan(0);
    expect(leftMs).toBeLessThanOrEqual(WAIT_MS);
  });

  it('has one result: that of the run that settles it', async () => {
    const id = await bed.pendingTask(ME);
    expect([await complete(id), await complete(id, { text: '8' })]).toEqual(['done', 'stale']);
    expect(await hearAll()).toHaveLength(1);
    expect(await bed.admin.get(KEPT)).toBe('returned 7');
    // A process that was presumed dead may come first.
    const second = await bed.pendingTask(OTHER);
    expect(await complete(second, { text: '9' })).toBe('done');
    expect(await bed.admin.get(KEPT)).toBe('returned 9');
  });

  it('has its place in the index freed', async () => {
    const id = await bed.pendingTask(ME);
    const [ms, seq] = id.split('-').map(Number);
    await bed.admin.zadd(keys.index, ms! + seq! / 2_048, 'task');
    await complete(id, { task: 'task' });
    expect(await bed.admin.exists(keys.index)).toBe(0);
    expect(await bed.admin.pttl(KEPT)).toBeGreaterThan(WAIT_MS / 2);
  });

  it('has a large result announced, and kept', async () => {
    const text = 'x'.repeat(INBOX_MAX_BYTES + 1);
    await complete(await bed.pendingTask(ME), { text });
    expect(await hearAll()).toEqual([['queue:result', TOKEN, 'kept', '']]);
    expect(await bed.admin.get(KEPT)).toBe(`returned ${text}`);
  });

  it('has nothing kept once the wait is over, or for longer than an hour', async () => {
    const late = (await bed.admin.xadd(keys.stream, '1700000000000-0', ...task()))!;
    await bed.admin.xreadgroup('GROUP', GROUP, ME, 'STREAMS', keys.stream, '>');
    await complete(late);
    expect(await bed.admin.exists(KEPT)).toBe(0);
    await complete(await bed.pendingTask(ME), { meta: metaOf({ ms: 86_400_000 }) });
    const leftMs = await bed.admin.pttl(KEPT);
    expect(leftMs).toBeGreaterThan(0);
    expect(leftMs).toBeLessThanOrEqual(3_600_000);
  });

  it.each([
    ['', 'nothing'],
    ['{"reply":7}', 'a number'],
    ['{"reply":"somebody"}', 'no such text'],
    [metaOf({ token: 'short' }), 'a token of another length'],
    ['{"reply', 'no JSON'],
    ['"reply"', 'a text'],
  ])('is only acknowledged if it says %j, %s', async (meta) => {
    expect(await complete(await bed.pendingTask(ME), { meta })).toBe('done');
    expect([await hearAll(), await bed.admin.keys('*result*')]).toEqual([[], []]);
  });

  it('is settled also if its result can be neither kept nor told', async () => {
    const denied = ['-set', '-publish', 'resetchannels'];
    const id = await bed.pendingTask(ME);
    await bed.admin.call('ACL', 'SETUSER', 'worker', 'on', 'nopass', '~*', '+@all', ...denied);
    const worker = bed.admin.duplicate();
    await worker.call('AUTH', 'worker', 'any');
    const argv = [GROUP, id, id, metaOf(), keys.side, INBOXES, 'returned', '7', ''];
    expect(await worker.eval(completeScript.lua, 3, keys.stream, keys.index, KEPT, ...argv)).toBe(1);
    worker.disconnect();
    await bed.admin.call('ACL', 'DELUSER', 'worker');
    expect([await bed.pending(), await hearAll()]).toEqual([{}, []]);
  });

  it.each([
    ['one group, of whatever name', false, keys.stream, 1],
    ['another group than the one that counts', true, keys.stream, 0],
    ['the own retries of another group', true, own.stream, 0],
    ['the own retries of another group that is alone now', false, own.stream, 0],
  ])('hears of %s', async (_, isShared, stream, times) => {
    if (isShared) await bed.admin.xgroup('CREATE', keys.stream, 'wanted', '0');
    if (stream !== keys.stream) await bed.admin.xgroup('CREATE', stream, GROUP, '0', 'MKSTREAM');
    const id = (await bed.admin.xadd(stream, '*', ...task()))!;
    await bed.admin.xreadgroup('GROUP', GROUP, ME, 'STREAMS', stream, '>');
    expect(await complete(id, { stream, meta: metaOf({ group: 'wanted' }) })).toBe('done');
    expect(await hearAll()).toHaveLength(times);
  });

  it('hears of the retries of the group that counts', async () => {
    await bed.admin.xgroup('CREATE', keys.stream, 'second', '0');
    await bed.admin.xgroup('CREATE', own.stream, GROUP, '0', 'MKSTREAM');
    const id = (await bed.admin.xadd(own.stream, '*', ...task()))!;
    await bed.admin.xreadgroup('GROUP', GROUP, ME, 'STREAMS', own.stream, '>');
    await complete(id, { stream: own.stream });
    expect(await hearAll()).toHaveLength(1);
  });
});

describe('a task without a result', () => {
  it('is told when it becomes a dead letter, and not before', async () => {
    await settle(await bed.pendingTask(ME), metaOf(), 0);
    expect(await hearAll()).toEqual([]);
    await bed.admin.del(keys.stream);
    await bed.admin.xgroup('CREATE', keys.stream, GROUP, '0', 'MKSTREAM');
    await settle(await bed.pendingTask(ME), metaOf(), 1);
    expect(await toldFailure()).toEqual(failed('dead', 'max-attempts', 'Error: "no"', 3));
  });

  it('is told when it is dropped, because it was cancelled', async () => {
    const id = await bed.pendingTask(ME);
    await cancelScript.run(bed.link, { keys, args: { group: GROUP, id, inboxes: INBOXES } });
    await settle(id, metaOf(), 1);
    expect(await toldFailure()).toEqual(failed('cancelled', 'cancelled', 'Error: "no"', 3));
  });

  it('is told when its process died with it too often', async () => {
    await bed.pendingTask(OTHER, { deliveries: 5, fields: task('1', '2', metaOf()) });
    await reap();
    const error = 'delivered 5 times and never settled: the process died with it each time';
    expect(await toldFailure()).toEqual(failed('dead', 'max-deliveries', error, 2));
  });

  it('is told when its process died with it, and it was cancelled', async () => {
    const id = await bed.pendingTask(OTHER, { fields: task('1', '1', metaOf()) });
    await cancelScript.run(bed.link, { keys, args: { group: GROUP, id, inboxes: INBOXES } });
    await reap();
    expect(await toldFailure()).toEqual(failed('cancelled', 'cancelled', '', 1));
  });
});
