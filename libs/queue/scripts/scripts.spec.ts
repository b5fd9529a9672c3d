import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { Keyspace, RedisConnections, type Link } from '../../redis/index.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { CONSUMER_PREFIX, RELEASED, queueKeys } from '../queue.keys.js';
import { ackScript } from './ack.script.js';
import { handBackScript } from './hand-back.script.js';
import { leaveScript } from './leave.script.js';
import { reapScript } from './reap.script.js';
import { renewScript } from './renew.script.js';
import { settleFailureScript, type Settlement } from './settle-failure.script.js';

const GROUP = 'sluice';
const ME = `${CONSUMER_PREFIX}me`;
const OTHER = `${CONSUMER_PREFIX}other`;
const FOREIGN = 'somebody-else';
const LEASE_MS = 60_000;
const keys = queueKeys(new Keyspace(), 'tasks');

let redis: RedisServer;
let admin: Redis;
let connections: RedisConnections;
let link: Link;
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url, { protocol: 2 });
  connections = await new RedisConnections({ redis: { url: redis.url } }).open();
  link = connections.get().commands;
});
afterAll(async () => {
  admin.disconnect();
  await connections.onApplicationShutdown();
  await redis.stop();
});
beforeEach(async () => {
  await admin.flushall();
  await admin.xgroup('CREATE', keys.stream, GROUP, '0', 'MKSTREAM');
});

/** Adds one task and hands it to `consumer`, `deliveries` times. */
async function pendingTask(consumer: string, { deliveries = 1, fields = task() } = {}): Promise<string> {
  const id = (await admin.xadd(keys.stream, '*', ...fields))!;
  await admin.xreadgroup('GROUP', GROUP, consumer, 'COUNT', 1, 'STREAMS', keys.stream, '>');
  if (deliveries > 1) {
    await admin.call('XCLAIM', keys.stream, GROUP, consumer, 0, id, 'RETRYCOUNT', deliveries, 'JUSTID');
  }
  return id;
}

function task(payload = '{"n":1}', retryCount = '0', meta = ''): string[] {
  return ['payload', payload, 'timestamp', '1700000000', 'retry_count', retryCount, 'meta', meta];
}

/** Who has what, how often delivered. */
async function pending(): Promise<Record<string, [consumer: string, deliveries: number]>> {
  const rows = (await admin.xpending(keys.stream, GROUP, '-', '+', 1_000)) as [string, string, number, number][];
  return Object.fromEntries(rows.map(([id, consumer, , deliveries]) => [id, [consumer, deliveries]]));
}

async function consumers(): Promise<string[]> {
  const rows = (await admin.xinfo('CONSUMERS', keys.stream, GROUP)) as string[][];
  return rows.map((row) => row[1]!);
}

async function entries(key: string): Promise<Record<string, string>[]> {
  const rows = await admin.xrange(key, '-', '+');
  return rows.map(([id, fields]) => ({
    id,
    ...Object.fromEntries(fields.flatMap((name, i) => (i % 2 === 0 ? [[name, fields[i + 1]]] : []))),
  }));
}

async function serverMs(): Promise<number> {
  const [seconds, micros] = await admin.time();
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
}

describe('settle-failure', () => {
  const settle = (
    id: string,
    over: { deliveries?: number; reason?: string; meta?: string } = {},
  ): Promise<Settlement> =>
    settleFailureScript.run(link, {
      keys: { stream: keys.stream, dead: keys.dead },
      args: {
        group: GROUP,
        consumer: ME,
        id,
        deliveries: 1,
        attempts: '1',
        meta: `{"id":"${id}"}`,
        reason: '',
        failure: 'Error: no',
        stack: 'Error: no at x',
        ...over,
      },
    });

  it('queues a task again in one step, with all its fields, one attempt later', async () => {
    const id = await pendingTask(ME, { fields: ['x', '1', ...task('{"n":1}', '0', 'm').slice(0, 6), 'y', '2'] });
    expect(await settle(id)).toBe('retried');
    expect(await pending()).toEqual({});
    const [retry, ...others] = await admin.xrange(keys.stream, '-', '+');
    expect(others).toEqual([]);
    expect(retry![0]).not.toBe(id);
    expect(retry![1]).toEqual([...task('{"n":1}', '1', `{"id":"${id}"}`), 'x', '1', 'y', '2']);
  });

  it('keeps the bytes of a payload that is not text', async () => {
    const bytes = Buffer.from([0x22, 0xff, 0x00, 0x22]);
    await admin.xadd(keys.stream, '1-0', 'payload', bytes, 'timestamp', '1');
    await admin.xreadgroup('GROUP', GROUP, ME, 'STREAMS', keys.stream, '>');
    await settle('1-0');
    const [retry] = await admin.xrangeBuffer(keys.stream, '-', '+');
    expect(retry![1][1]).toEqual(bytes);
  });

  it('buries a task with the reason', async () => {
    const id = await pendingTask(ME, { deliveries: 2, fields: [...task('{"n":1}', '1'), 'x', '1'] });
    expect(await settle(id, { deliveries: 2, reason: 'max-attempts', meta: '{"id":"1-1"}' })).toBe('dead');
    expect(await pending()).toEqual({});
    expect(await admin.xlen(keys.stream)).toBe(0);
    const [letter, ...others] = await admin.xrange(keys.dead, '-', '+');
    expect(others).toEqual([]);
    const failedAt = letter![1].at(-1);
    expect(letter![1]).toEqual([
      ...['payload', '{"n":1}', 'timestamp', '1700000000', 'retry_count', '1', 'meta', '{"id":"1-1"}', 'x', '1'],
      ...['original_id', '1-1', 'reason', 'max-attempts', 'error', 'Error: no', 'stack', 'Error: no at x'],
      ...['attempts', '1', 'deliveries', '2', 'group', GROUP, 'failed_at', failedAt],
    ]);
    expect(Math.abs(Number(failedAt) * 1_000 - (await serverMs()))).toBeLessThan(10_000);
  });

  it('does nothing with a task that another consumer has', async () => {
    const id = await pendingTask(OTHER);
    expect(await settle(id)).toBe('fenced');
    expect(await settle(id, { reason: 'max-attempts' })).toBe('fenced');
    expect(await pending()).toEqual({ [id]: [OTHER, 1] });
    expect(await admin.xlen(keys.stream)).toBe(1);
    expect(await admin.exists(keys.dead)).toBe(0);
  });

  it('does nothing for an earlier delivery than the current one', async () => {
    const id = await pendingTask(ME, { deliveries: 3 });
    expect(await settle(id, { deliveries: 2 })).toBe('fenced');
    expect(await pending()).toEqual({ [id]: [ME, 3] });
    expect(await admin.xlen(keys.stream)).toBe(1);
  });

  it('does nothing the second time', async () => {
    const id = await pendingTask(ME);
    expect([await settle(id), await settle(id)]).toEqual(['retried', 'stale']);
    expect(await admin.xlen(keys.stream)).toBe(1);
  });

  it('lets go of a task whose entry was deleted', async () => {
    const id = await pendingTask(ME);
    await admin.xdel(keys.stream, id);
    expect(await settle(id)).toBe('stale');
    expect(await pending()).toEqual({});
    expect(await admin.xlen(keys.stream)).toBe(0);
  });

  it('works on a server that is full', async () => {
    const [retried, buried] = [await pendingTask(ME), await pendingTask(ME)];
    await admin.config('SET', 'maxmemory', '1');
    try {
      await expect(admin.xadd(keys.stream, '*', 'payload', '1')).rejects.toThrow('OOM');
      expect(await settle(retried)).toBe('retried');
      expect(await settle(buried, { reason: 'max-attempts' })).toBe('dead');
    } finally {
      await admin.config('SET', 'maxmemory', '0');
    }
    expect([await admin.xlen(keys.stream), await admin.xlen(keys.dead)]).toEqual([1, 1]);
  });

  it('keeps a task that it cannot bury', async () => {
    const id = await pendingTask(ME);
    await admin.set(keys.dead, 'not a stream');
    await expect(settle(id, { reason: 'max-attempts' })).rejects.toThrow('WRONGTYPE');
    expect(await pending()).toEqual({ [id]: [ME, 1] });
    expect(await admin.xlen(keys.stream)).toBe(1);
  });

  it('leaves the entry to a second group', async () => {
    await admin.xgroup('CREATE', keys.stream, 'second', '0');
    const id = await pendingTask(ME);
    await settle(id, { reason: 'max-attempts' });
    expect((await entries(keys.stream)).map((entry) => entry['id'])).toEqual([id]);
  });
});

describe('ack', () => {
  const ack = (...ids: string[]): Promise<number> =>
    ackScript.run(link, { keys: { stream: keys.stream }, args: { group: GROUP }, rest: ids });

  it('acknowledges and deletes, whoever has the task by now', async () => {
    const [mine, taken, waiting] = [await pendingTask(ME), await pendingTask(OTHER), await pendingTask(ME)];
    expect(await ack(mine, taken)).toBe(2);
    expect(await ack(mine, taken)).toBe(0);
    expect(await pending()).toEqual({ [waiting]: [ME, 1] });
    expect((await entries(keys.stream)).map((entry) => entry['id'])).toEqual([waiting]);
  });

  it('leaves entries to a second group', async () => {
    await admin.xgroup('CREATE', keys.stream, 'second', '0');
    expect(await ack(await pendingTask(ME))).toBe(1);
    expect(await admin.xlen(keys.stream)).toBe(1);
  });

  it('leaves a deleted stream deleted', async () => {
    await admin.del(keys.stream);
    expect(await ack('1-1')).toBe(0);
    expect(await admin.exists(keys.stream)).toBe(0);
  });
});

describe('renew', () => {
  const renew = (leaseMs = LEASE_MS): Promise<{ unbroken: boolean; nowMs: number }> =>
    renewScript.run(link, { keys: { alive: keys.alive }, args: { consumer: ME, leaseMs } });

  it("says whether the lease was unbroken, and ends it one lease after the server's now", async () => {
    expect(await renew()).toMatchObject({ unbroken: false });
    const { unbroken, nowMs } = await renew();
    expect(unbroken).toBe(true);
    expect(Number(await admin.zscore(keys.alive, ME))).toBe(nowMs + LEASE_MS);
    expect(Math.abs(nowMs - (await serverMs()))).toBeLessThan(1_000);

    await admin.zadd(keys.alive, (await serverMs()) - 1, ME);
    expect(await renew()).toMatchObject({ unbroken: false });
    await admin.zrem(keys.alive, ME);
    expect(await renew()).toMatchObject({ unbroken: false });
  });

  it('works on a server that is full', async () => {
    await admin.config('SET', 'maxmemory', '1');
    try {
      await expect(admin.zadd(keys.alive, 1, OTHER)).rejects.toThrow('OOM');
      await renew();
      expect(await renew()).toMatchObject({ unbroken: true });
    } finally {
      await admin.config('SET', 'maxmemory', '0');
    }
  });
});

describe('reap', () => {
  interface Over {
    capacity?: number;
    maxDeliveries?: number;
    sinceMs?: number;
    endsMs?: number;
  }
  /** By a caller whose lease has been unbroken for long, and stands. */
  const reap = async (over: Over = {}): Promise<{ claimed: [string, number][]; buried: string[] }> => {
    await lease(ME, LEASE_MS);
    return reapAlone(over);
  };
  const reapAlone = async (over: Over = {}): Promise<{ claimed: [string, number][]; buried: string[] }> => {
    const now = await serverMs();
    const { claimed, buried } = await reapScript.run(link, {
      keys,
      args: {
        group: GROUP,
        consumer: ME,
        leaseMs: LEASE_MS,
        sinceMs: now - LEASE_MS,
        endsMs: now + LEASE_MS / 2,
        capacity: 100,
        maxDeliveries: 5,
        released: RELEASED,
        prefix: CONSUMER_PREFIX,
        ...over,
      },
    });
    return { claimed: claimed.map(({ id, deliveries }) => [id, deliveries]), buried };
  };
  const lease = async (consumer: string, ms: number): Promise<void> =>
    admin.zadd(keys.alive, (await serverMs()) + ms, consumer).then(() => {});

  it('takes over what a consumer without a running lease has, and deletes the consumer', async () => {
    const [never, lapsed] = [await pendingTask(OTHER), await pendingTask(`${CONSUMER_PREFIX}lapsed`)];
    await lease(`${CONSUMER_PREFIX}lapsed`, -1);
    const { claimed } = await reap();
    expect(claimed.sort()).toEqual([
      [never, 2],
      [lapsed, 2],
    ]);
    expect(await pending()).toEqual({ [never]: [ME, 2], [lapsed]: [ME, 2] });
    expect(await consumers()).toEqual([ME]);
    expect(await admin.zrange(keys.alive, '0', '-1')).toEqual([ME]);
  });

  it('sweeps the lease of a process that was killed before it got any task', async () => {
    await lease(OTHER, -1);
    await lease(FOREIGN, 1_000);
    await reap();
    expect(await admin.zrange(keys.alive, '0', '-1')).toEqual([FOREIGN, ME]);
  });

  it('hands over the whole entry', async () => {
    await pendingTask(OTHER, { fields: task('{"n":7}', '2', '{"id":"1-1"}') });
    await lease(ME, 2 * LEASE_MS);
    const now = await serverMs();
    const { claimed } = await reapScript.run(link, {
      keys,
      args: {
        ...{ group: GROUP, consumer: ME, leaseMs: LEASE_MS, sinceMs: now - LEASE_MS, endsMs: now + LEASE_MS },
        ...{ capacity: 1, maxDeliveries: 5, released: RELEASED, prefix: CONSUMER_PREFIX },
      },
    });
    expect(claimed[0]!.fields).toEqual(task('{"n":7}', '2', '{"id":"1-1"}'));
  });

  it('takes no more than it has room for, oldest first, and keeps the consumer of the rest', async () => {
    const ids = [await pendingTask(OTHER), await pendingTask(OTHER), await pendingTask(OTHER)];
    expect((await reap({ capacity: 2 })).claimed).toEqual([
      [ids[0], 2],
      [ids[1], 2],
    ]);
    expect(await pending()).toMatchObject({ [ids[2]!]: [OTHER, 1] });
    expect(await consumers()).toContain(OTHER);
    expect((await reap({ capacity: 0 })).claimed).toEqual([]);
    expect((await reap({ capacity: 2 })).claimed).toEqual([[ids[2], 2]]);
    expect(await consumers()).toEqual([ME]);
  });

  it('counts its room over all the dead', async () => {
    for (const name of ['a', 'b', 'c']) await pendingTask(CONSUMER_PREFIX + name);
    expect((await reap({ capacity: 2 })).claimed).toHaveLength(2);
  });

  it('lets those alone who live, who are not of ours, and itself', async () => {
    await lease(OTHER, 1_000);
    const before = [await pendingTask(OTHER), await pendingTask(FOREIGN), await pendingTask(ME)];
    expect(await reap()).toEqual({ claimed: [], buried: [] });
    expect(await pending()).toEqual({ [before[0]!]: [OTHER, 1], [before[1]!]: [FOREIGN, 1], [before[2]!]: [ME, 1] });
    expect(await consumers()).toHaveLength(3);
  });

  it.each<[string, (now: number) => Over]>([
    ['for less than a lease', (now) => ({ sinceMs: now - LEASE_MS + 5_000 })],
    ['not at all', () => ({ sinceMs: 0, endsMs: 0 })],
    ['but no longer', (now) => ({ sinceMs: now - 3 * LEASE_MS, endsMs: now - 1 })],
  ])('declares nobody dead while its own lease is known to be unbroken %s', async (_what, proof) => {
    const id = await pendingTask(OTHER);
    // A lease taken anew a moment ago, as after an outage, proves nothing.
    expect((await reap(proof(await serverMs()))).claimed).toEqual([]);
    expect(await pending()).toEqual({ [id]: [OTHER, 1] });
  });

  it.each([
    ['is gone', undefined],
    ['is an older one', LEASE_MS / 3],
  ])('declares nobody dead when its own lease %s: then Redis lost data, and those of others as well', async (_, ms) => {
    const id = await pendingTask(OTHER);
    if (ms !== undefined) await lease(ME, ms);
    expect((await reapAlone()).claimed).toEqual([]);
    expect(await pending()).toEqual({ [id]: [OTHER, 1] });
  });

  it('takes what it can at once, and no more than a script holds', async () => {
    const fields = task();
    const pipeline = admin.pipeline();
    for (let n = 0; n < 9_000; n++) pipeline.xadd(keys.stream, '*', ...fields);
    await pipeline.exec();
    await admin.xreadgroup('GROUP', GROUP, OTHER, 'STREAMS', keys.stream, '>');
    const { claimed } = await reap({ capacity: 10_000 });
    expect(claimed.length).toBeGreaterThan(100);
    expect(Object.values(await pending())).toHaveLength(1_000);
  });

  it('takes what was handed back without any proof', async () => {
    const id = await pendingTask(RELEASED);
    expect((await reap({ sinceMs: 0, endsMs: 0 })).claimed).toEqual([[id, 2]]);
    expect(await consumers()).toEqual([ME]);
  });

  it('buries what was delivered too often, also without room', async () => {
    const [often, once] = [await pendingTask(OTHER, { deliveries: 3 }), await pendingTask(OTHER, { deliveries: 2 })];
    expect(await reap({ capacity: 0, maxDeliveries: 3 })).toEqual({ claimed: [], buried: [often] });
    expect(await pending()).toEqual({ [once]: [OTHER, 2] });
    expect(await entries(keys.dead)).toEqual([
      expect.objectContaining({
        ...{ payload: '{"n":1}', retry_count: '0', original_id: often, reason: 'max-deliveries', deliveries: '3' },
        error: expect.stringContaining('delivered 3 times'),
      }),
    ]);
  });

  it('buries under the id of the first publish', async () => {
    await pendingTask(OTHER, { deliveries: 5, fields: task('1', '1', '{"id":"42-0"}') });
    await reap();
    expect(await entries(keys.dead)).toMatchObject([{ original_id: '42-0' }]);
  });

  it('drops what was deleted', async () => {
    const id = await pendingTask(OTHER);
    await admin.xdel(keys.stream, id);
    expect((await reap()).claimed).toEqual([]);
    expect(await pending()).toEqual({});
    expect(await consumers()).toEqual([]);
  });
});

describe('hand-back', () => {
  const handBack = (...ids: string[]): Promise<number> =>
    handBackScript.run(link, {
      keys: { stream: keys.stream },
      args: { group: GROUP, consumer: ME, released: RELEASED },
      rest: ids,
    });

  it('gives entries back with the delivery uncounted', async () => {
    const ids = [await pendingTask(ME), await pendingTask(ME, { deliveries: 3 }), await pendingTask(ME)];
    expect(await handBack(ids[0]!, ids[1]!)).toBe(2);
    expect(await pending()).toEqual({ [ids[0]!]: [RELEASED, 0], [ids[1]!]: [RELEASED, 2], [ids[2]!]: [ME, 1] });
  });

  it('takes nothing from others', async () => {
    const id = await pendingTask(OTHER);
    expect(await handBack(id, '1-1')).toBe(0);
    expect(await pending()).toEqual({ [id]: [OTHER, 1] });
  });

  it('gives everything of its own back when asked for nothing in particular', async () => {
    const [mine, others] = [await pendingTask(ME), await pendingTask(OTHER)];
    expect(await handBack()).toBe(1);
    expect(await pending()).toEqual({ [mine]: [RELEASED, 0], [others]: [OTHER, 1] });
  });
});

describe('leave', () => {
  const leave = (): Promise<void> =>
    leaveScript.run(link, {
      keys: { stream: keys.stream, alive: keys.alive },
      args: { group: GROUP, consumer: ME },
    });

  it('gives up lease and consumer', async () => {
    await admin.zadd(keys.alive, 1, ME, '2', OTHER);
    await admin.xgroup('CREATECONSUMER', keys.stream, GROUP, ME);
    await leave();
    expect(await consumers()).toEqual([]);
    expect(await admin.zrange(keys.alive, '0', '-1')).toEqual([OTHER]);
  });

  it('keeps the consumer of what is still pending', async () => {
    const id = await pendingTask(ME);
    await admin.zadd(keys.alive, 1, ME);
    await leave();
    expect(await pending()).toEqual({ [id]: [ME, 1] });
    expect(await admin.exists(keys.alive)).toBe(0);
  });

  it('does not bring a deleted stream back', async () => {
    await admin.del(keys.stream);
    await leave();
    expect(await admin.exists(keys.stream)).toBe(0);
  });
});
