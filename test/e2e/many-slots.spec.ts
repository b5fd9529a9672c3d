/** One process with queues in more slots than it has sockets for blocking reads. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { slotOf } from 'nestjs-sluice/redis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { startQueueApp, type QueueApp, type TestHandler } from '../support/queue-app.js';
import { until } from '../support/until.js';

const SOCKETS = 32;

/** A hundred queues in a hundred slots. */
const QUEUES = Array.from({ length: 100 }, (_, n) => `queue${n}`);

let redis: RedisServer;
let admin: Redis;
const apps: QueueApp[] = [];
beforeAll(async () => {
  expect(new Set(QUEUES.map(slotOf)).size).toBe(QUEUES.length);
  redis = await startRedis({ slotChecks: true });
  admin = new Redis(redis.url);
});
beforeEach(() => admin.flushall());
afterEach(() => Promise.all(apps.splice(0).map(({ app }) => app.close())));
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

const readers = async (): Promise<string[]> =>
  String(await admin.client('LIST'))
    .split('\n')
    .filter((line) => line.includes('name=sluice:queue '));

async function start(handler: TestHandler, leaseMs = 2_000): Promise<QueueApp> {
  const handlers = Object.fromEntries(QUEUES.map((queue) => [queue, handler]));
  const app = await startQueueApp({ url: redis.url, handlers, queue: { leaseMs } });
  apps.push(app);
  return app;
}

/** Runs that have begun, by queue and payload. */
class Runs {
  readonly #counts = new Map<string, number>();
  readonly count = (task: { stream: string; payload: unknown }): void => {
    const name = `${task.stream} ${String(task.payload)}`;
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  };

  get size(): number {
    return this.#counts.size;
  }

  get most(): number {
    return Math.max(...this.#counts.values());
  }
}

it('serves every queue, also when all are busy, with at most 32 sockets', async () => {
  const runs = new Runs();
  const { queue } = await start({ run: runs.count, options: { concurrency: 1 } });
  let most = 0;
  const each = [...Array(20).keys()];
  await Promise.all(QUEUES.map((name) => queue.publishMany(name, each)));
  await until(
    async () => {
      most = Math.max(most, (await readers()).length);
      return runs.size === QUEUES.length * each.length;
    },
    { what: 'all tasks of all queues ran' },
  );
  expect(runs.most).toBe(1);
  expect(most).toBe(SOCKETS);
});

it('serves a queue that was idle without a socket, and a delayed task of it', async () => {
  const runs = new Runs();
  const { queue } = await start(runs.count);
  // All have read once by then, and most have given their socket away.
  await until(async () => (await readers()).filter((line) => line.includes('cmd=xreadgroup')).length === SOCKETS, {
    what: 'the sockets block',
  });
  for (const name of QUEUES) await queue.publish(name, 'at once');
  await until(() => runs.size === QUEUES.length, { what: 'all ran' });
  for (const name of QUEUES) await queue.publish(name, 'later', { delayMs: 100 });
  await until(() => runs.size === 2 * QUEUES.length, { what: 'all delayed ones ran' });
  expect(runs.most).toBe(1);
});

it('loses nothing when sockets die while readers take turns', async () => {
  const runs = new Runs();
  const { queue } = await start(runs.count);
  const each = [...Array(10).keys()];
  const published = Promise.all(QUEUES.map((name) => queue.publishMany(name, each)));
  for (const part of [1, 2, 3, 4]) {
    await until(() => runs.size >= part * QUEUES.length, { what: `a part of the tasks ran` });
    for (const line of await readers()) await admin.client('KILL', 'ID', /id=(\d+)/.exec(line)![1]!);
  }
  await published;
  await until(() => runs.size === QUEUES.length * each.length, { what: 'all ran' });
});

it('leaves no socket and no task when it stops while readers take turns', async () => {
  const runs = new Runs();
  const { queue, app } = await start({ run: runs.count, options: { concurrency: 1 } });
  await Promise.all(QUEUES.map((name) => queue.publishMany(name, [...Array(20).keys()])));
  apps.pop();
  await app.close();
  await until(async () => (await readers()).length === 0, { what: 'all sockets are closed' });
  const second = await start(runs.count);
  await until(() => runs.size === QUEUES.length * 20, { what: 'the next process runs the rest' });
  for (const name of QUEUES) expect(await second.queue.counts(name)).toMatchObject({ dead: 0 });
});

it('sends per idle queue no more than its renewals and as many looks', async () => {
  const leaseMs = 1_000;
  await start(() => {}, leaseMs);
  await until(async () => (await readers()).filter((line) => line.includes('cmd=xreadgroup')).length === SOCKETS, {
    what: 'the sockets block',
  });
  const calls = async (name: string): Promise<number> =>
    Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(await admin.info('commandstats'))?.[1] ?? 0);
  const before = { scripts: await calls('evalsha'), reads: await calls('xreadgroup'), atMs: performance.now() };
  await until(() => performance.now() - before.atMs > 5 * leaseMs, { what: 'five leases are over' });
  const leases = (performance.now() - before.atMs) / leaseMs + 1;
  // Three renewals, for all, and three looks for those without a socket, and the proofs of the inbox.
  expect((await calls('evalsha')) - before.scripts).toBeLessThan(leases * (3.3 * QUEUES.length + 3.3 * 68 + 10));
  expect((await calls('xreadgroup')) - before.reads).toBeLessThan(leases * 1.5 * SOCKETS);
});
