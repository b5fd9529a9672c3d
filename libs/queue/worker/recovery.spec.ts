import { describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { gate } from '../../../test/support/gate.js';
import { startQueueApp, type QueueApp, type TestHandler } from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { isRefused } from '../../../test/support/refused-commands.js';
import { until } from '../../../test/support/until.js';
import { consumerName } from '../store/queue.keys.js';
import type { Task } from '../index.js';
import { FaultProxy } from '../../testing/index.js';

const LEASE_MS = 300;
const GHOST = consumerName('ghost');
const ALIVE = '{tasks}:~alive';

const bed = new QueueBed();
const start = (tasks: TestHandler, maxDeliveries = 5): Promise<QueueApp> =>
  bed.start({ handlers: { tasks }, queue: { leaseMs: LEASE_MS, maxDeliveries } });

/** Publishes for `consumer`, which has them from then on. */
async function publishTo(consumer: string, ...payloads: number[]): Promise<string[]> {
  await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0', 'MKSTREAM').catch(() => {});
  for (const payload of payloads) await bed.admin.xadd('tasks', '*', 'payload', String(payload), 'timestamp', '1');
  await bed.admin.xreadgroup('GROUP', 'sluice', consumer, 'COUNT', payloads.length, 'STREAMS', 'tasks', '>');
  return (await bed.admin.xrange('tasks', '-', '+')).map(([id]) => id);
}

type Pending = [id: string, consumer: string, idleMs: number, deliveries: number];

/** None while there is no group. */
const pendingOf = (): Promise<Pending[]> =>
  bed.admin.xpending('tasks', 'sluice', '-', '+', 100).then(
    (rows) => rows as Pending[],
    () => [],
  );

/** A lease that another process holds. */
async function lease(consumer: string, ms: number): Promise<void> {
  await bed.admin.zadd(ALIVE, Date.now() + ms, consumer);
}

describe('the work of a dead process', () => {
  it('runs elsewhere, and nothing of the process is left', async () => {
    const seen: Task<never>[] = [];
    const [first] = await publishTo(GHOST, 1, 2, 3);
    await lease(GHOST, LEASE_MS);
    await start((task) => void seen.push(task));
    await until(() => seen.length === 3, { what: 'all ran' });
    expect(seen.map((task) => task.payload)).toEqual([1, 2, 3]);
    expect(seen[0]).toMatchObject({ id: first, attempt: 1, deliveries: 2 });
    await bed.untilSettled();
    await until(async () => ((await bed.admin.xinfo('CONSUMERS', 'tasks', 'sluice')) as unknown[]).length === 1, {
      what: 'its consumer is gone',
    });
    expect(await bed.admin.zscore(ALIVE, GHOST)).toBeNull();
  });

  it('is let alone while its lease runs', async () => {
    const seen: number[] = [];
    await publishTo(GHOST, 1);
    // Its end is set below: on a slow machine, a short lease would end before anything has run.
    await lease(GHOST, 3_600_000);
    const { queue } = await start((task: Task<number>) => void seen.push(task.payload));
    await pause(3 * LEASE_MS);
    await queue.publish('tasks', 2);
    await until(() => seen.length === 1, { what: 'what waited ran' });
    expect(seen).toEqual([2]);
    await lease(GHOST, 0);
    await until(() => seen.length === 2, { what: 'the rest ran after the lease' });
  });

  it('becomes a dead letter when processes keep dying with it', async () => {
    await publishTo(GHOST, 1);
    await bed.admin.call('XCLAIM', 'tasks', 'sluice', GHOST, 0, (await pendingOf())[0]![0], 'RETRYCOUNT', 2, 'JUSTID');
    let ran = 0;
    await start(() => {
      ran++;
    }, 2);
    await until(async () => (await bed.admin.xlen('{tasks}:~dead')) === 1, { what: 'there is a dead letter' });
    expect(ran).toBe(0);
    await bed.untilSettled();
  });
});

describe('a process that lives', () => {
  it('keeps a task for as long as its handler takes', async () => {
    let runs = 0;
    const handler = async (): Promise<void> => {
      runs++;
      await pause(4 * LEASE_MS);
    };
    const { queue } = await start(handler);
    await start(handler);
    await queue.publishMany('tasks', [1, 2, 3]);
    await bed.untilSettled();
    expect(runs).toBe(3);
  });

  it('settles no failure of a task that was taken over, but its success', async () => {
    const { opened, open } = gate();
    const { queue } = await start(async (task: Task<string>) => {
      await opened;
      if (task.payload === 'fails') throw new Error('as asked');
    });
    const [fails] = await queue.publishMany('tasks', ['fails', 'succeeds']);
    await until(async () => (await pendingOf()).length === 2, { what: 'both run' });
    await lease(GHOST, 60_000);
    await bed.admin.xclaim('tasks', 'sluice', GHOST, 0, ...(await pendingOf()).map(([id]) => id));
    open();
    await until(async () => (await pendingOf()).length === 1, { what: 'the success is acknowledged' });
    await pause(100);
    expect(await pendingOf()).toMatchObject([[fails, GHOST, expect.any(Number), 2]]);
    expect(await bed.admin.xlen('tasks')).toBe(1);
    expect(await bed.admin.exists('{tasks}:~dead')).toBe(0);
  });

  it('finds what was delivered to it and got lost on the way', async () => {
    const seen: Task<never>[] = [];
    const { connections } = await start((task) => void seen.push(task));
    await until(async () => (await bed.admin.zcard(ALIVE)) === 1, { what: 'it lives' });
    // Its own name: to Redis, this delivery is no different from one whose reply died with a socket. In one
    // transaction, for else the blocking read gets the entry.
    const me = consumerName(connections.processId);
    await bed.admin
      .multi()
      .xadd('tasks', '*', 'payload', '1', 'timestamp', '1')
      .xreadgroup('GROUP', 'sluice', me, 'COUNT', 10, 'STREAMS', 'tasks', '>')
      .exec();
    expect(await pendingOf()).toMatchObject([[expect.anything(), me, expect.anything(), 1]]);
    await until(() => seen.length === 1, { what: 'the lost one ran' });
    expect(seen[0]).toMatchObject({ attempt: 1, deliveries: 1 });
    await bed.untilSettled();
  });
});

describe('a reading socket that goes half-open', () => {
  /** The clients that wait in a read, by id. */
  const readers = async (): Promise<string[]> => {
    const clients = String(await bed.admin.client('LIST')).split('\n');
    return clients.filter((line) => line.includes('flags=b')).map((line) => /id=(\d+)/.exec(line)?.[1] ?? '');
  };
  /** Minutes: nobody else looks for what got lost. Without CLIENT KILL, the task runs when the lease is over. */
  const leaseMs = isRefused('client|kill') ? 2_000 : 600_000;
  const seen: Task<never>[] = [];
  let proxy: FaultProxy;
  let id: string | null;
  const publish = async (): Promise<unknown> => (id = await bed.admin.xadd('tasks', '*', 'payload', '1'));

  it.each<[string, (old: string) => Promise<unknown>]>([
    [
      'and is handed a task',
      async () => {
        await publish();
        proxy.cut();
      },
    ],
    [
      'and would be handed one after it was replaced',
      async (old) => {
        proxy.cut();
        await until(async () => (await readers()).some((reader) => reader !== old), { what: 'the next one reads' });
        await publish();
      },
    ],
  ])(`%s: it runs ${isRefused('client|kill') ? 'a lease later' : 'at once'}`, async (_, happens) => {
    seen.length = 0;
    proxy = await FaultProxy.to(bed.redis.port);
    const { app } = await startQueueApp({
      url: `redis://127.0.0.1:${proxy.port}`,
      handlers: { tasks: (task) => void seen.push(task) },
      queue: { leaseMs },
    });
    try {
      const [old] = await until(async () => (await readers()).length > 0 && readers(), { what: 'it reads' });
      proxy.freeze();
      await happens(old ?? '');
      await until(() => seen.length === 1, { what: 'it ran' });
      expect(seen[0]).toMatchObject({ id, deliveries: 1 });
      await bed.untilSettled();
    } finally {
      await app.close();
      await proxy.close();
    }
  });
});

describe('an outage of Redis', () => {
  it('longer than all leases makes nobody look dead', async () => {
    const { opened, open } = gate();
    const runs: number[] = [];
    const handler = async (task: Task<number>): Promise<void> => {
      runs.push(task.payload);
      await opened;
    };
    const { queue } = await start({ run: handler, options: { concurrency: 5 } });
    await start({ run: handler, options: { concurrency: 5 } });
    await queue.publishMany('tasks', [...new Array(10).keys()]);
    await until(() => runs.length === 10 || runs.length === 5, { what: 'they are busy' });
    // A lease unbroken for long: both may declare others dead, if they had reason to.
    await pause(2 * LEASE_MS);
    const before = await pendingOf();
    bed.redis.pause();
    await pause(3 * LEASE_MS);
    bed.redis.resume();
    await pause(3 * LEASE_MS);
    const after = await pendingOf();
    expect(after.map(([id, consumer, , deliveries]) => [id, consumer, deliveries])).toEqual(
      before.map(([id, consumer, , deliveries]) => [id, consumer, deliveries]),
    );
    open();
    await bed.untilSettled();
    expect(runs.sort((a, b) => a - b)).toEqual([...new Array(10).keys()]);
  });
});
