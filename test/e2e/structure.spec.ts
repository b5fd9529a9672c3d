/** What holds on any machine, however fast: how many sockets, timers and commands an app needs. */
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { Injectable, Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { CacheService, LockService, QueueService, SluiceModule, TaskHandler } from 'nestjs-sluice';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { commandDelta } from '../support/command-delta.js';
import { itOnOneServer } from '../support/one-server.js';
import { until } from '../support/until.js';

const QUEUES = ['a', 'b', 'c', 'd'] as const;

/** Counts tasks, and tells when there were enough. */
class Tally {
  #count = 0;
  #enough = { at: Infinity, reached: (): void => {} };

  add(): void {
    if (++this.#count >= this.#enough.at) this.#enough.reached();
  }

  /** Resolves, without a timer, after so many more. */
  async more(tasks: number): Promise<void> {
    await new Promise<void>((reached) => (this.#enough = { at: this.#count + tasks, reached }));
  }
}

@Injectable()
class Workers {
  readonly tally = new Tally();

  @TaskHandler('a')
  async a(): Promise<void> {
    this.tally.add();
  }

  @TaskHandler('b')
  async b(): Promise<void> {
    this.tally.add();
  }

  @TaskHandler('c', { group: 'others' })
  async c(): Promise<void> {
    this.tally.add();
  }

  @TaskHandler('d', { group: 'others' })
  async d(): Promise<void> {
    this.tally.add();
  }
}

let redis: RedisServer;
let admin: Redis;
let app: INestApplicationContext;
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
  @Module({ imports: [SluiceModule.forRoot({ namespace: 'shape', redis: { url: redis.url } })], providers: [Workers] })
  class App {}
  app = await NestFactory.createApplicationContext(App, { logger: ['error'] });
});
afterAll(async () => {
  await app.close();
  admin.disconnect();
  await redis.stop();
});

const sockets = async (): Promise<number> =>
  String(await admin.client('LIST'))
    .trim()
    .split('\n').length - 1;

// In cluster mode, one per group and slot.
itOnOneServer(
  'has a socket for commands, a subscriber, and one per group that reads, whatever the number of queues and locks',
  async () => {
    const locks = app.get(LockService);
    const held = await Promise.all(Array.from({ length: 20 }, (_, i) => locks.acquire(`lock ${i}`)));
    const waiting = held.map(({ name }) => locks.acquire(name));
    await Promise.all(Array.from({ length: 50 }, (_, i) => app.get(CacheService).getOrLoad(`key ${i}`, () => i)));
    const worked = app.get(Workers).tally.more(QUEUES.length);
    await Promise.all(QUEUES.map((queue) => app.get(QueueService).publish(queue, {})));
    await worked;
    // The readers connect on their own.
    await until(async () => (await sockets()) >= 4, { what: 'both readers are connected' });
    expect(await sockets()).toBe(1 + 1 + 2);
    await Promise.all(held.map((lock) => lock.release()));
    await Promise.all(waiting.map(async (lock) => (await lock).release()));
  },
);

// All tasks wait before any is read: how full the batches are must not hang on who gets the processor.
it('starts no timer per task', async () => {
  const tasks = 2_000;
  const queue = app.get(QueueService);
  await queue.pause('a');
  const timers = [jest.spyOn(globalThis, 'setTimeout'), jest.spyOn(globalThis, 'setInterval')];
  try {
    const worked = app.get(Workers).tally.more(tasks);
    await queue.publishMany(
      'a',
      Array.from({ length: tasks }, (_, i) => ({ i })),
    );
    await queue.resume('a');
    await worked;
    // Two or three per batch: the client watches a socket while it owes an answer.
    expect(timers.reduce((sum, spy) => sum + spy.mock.calls.length, 0)).toBeLessThan(tasks / 10);
  } finally {
    for (const spy of timers) spy.mockRestore();
  }
});

it('sends hardly more than one command per task, publishing included', async () => {
  const tasks = 2_000;
  const queue = app.get(QueueService);
  const worked = app.get(Workers).tally.more(tasks);
  await queue.pause('b');
  const { calls, total } = await commandDelta(admin, async () => {
    const payloads = Array.from({ length: tasks }, (_, i) => ({ i }));
    await queue.publishMany('b', payloads);
    await queue.resume('b');
    await worked;
    await until(async () => (await admin.xlen('shape:b')) === 0, { what: 'all is acknowledged' });
  });
  expect(calls['xadd']).toBe(tasks);
  expect(total - (calls['xlen'] ?? 0)).toBeLessThan(1.5 * tasks);
});

// In cluster mode, leases are renewed by a script per slot.
itOnOneServer('takes and releases a free lock with two commands, and publishes with one', async () => {
  const locks = app.get(LockService);
  const pair = async (): Promise<unknown> => (await locks.acquire('free')).release();
  await pair();
  const { calls } = await commandDelta(admin, async () => {
    for (let i = 0; i < 50; i++) await pair();
  });
  // Whatever the app does by itself meanwhile is a few scripts: leases renewed, dead neighbours looked for.
  expect(calls['evalsha']).toBeGreaterThanOrEqual(100);
  expect(calls['evalsha']).toBeLessThan(120);

  const published = await commandDelta(admin, () => app.get(QueueService).publish('elsewhere', {}));
  expect(published.calls['xadd']).toBe(1);
});
