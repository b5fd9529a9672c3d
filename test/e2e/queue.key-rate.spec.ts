import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { OrderedFleet, orderedWork, shortestWindow } from '../support/ordered-fleet.js';
import { until } from '../support/until.js';

let redis: RedisServer;
let fleet: OrderedFleet | undefined;
beforeEach(async () => {
  redis = await startRedis();
});
afterEach(async () => {
  await fleet?.close();
  fleet = undefined;
  await redis.stop();
});

const startsOf = (key: string): number => fleet!.history().filter(({ name }) => name === key).length;

it('no more than limit tasks of a key start in any window in four processes, while they are killed and stopped', async () => {
  const CONCURRENCY = 8;
  const [limit, perMs] = [6, 1_500];
  fleet = await OrderedFleet.open(redis.url, { CONCURRENCY: String(CONCURRENCY), KEY_RATE: `${limit}/${perMs}` });
  await fleet.fill(4);
  for (let round = 0; round < 6; round++) {
    const before = fleet.succeeded;
    await fleet.publish(orderedWork(5, limit, Math.random, 20));
    await until(() => fleet!.succeeded > before + 5, { what: 'it goes on' });
    await fleet.killOne(round);
    await fleet.fill(4);
    // Shorter than the lease, and longer.
    await fleet.pauseOne(round, round % 2 === 0 ? 150 : 900, round % 2 === 1);
  }
  await until(() => fleet!.isDone(), { what: 'all are done' });
  const history = fleet.history();
  expect(shortestWindow(history, limit)).toBeGreaterThanOrEqual(perMs);
  // Each key had several windows.
  expect(history.length).toBeGreaterThanOrEqual(5 * 6 * limit);
  expect(fleet.lost(10 * CONCURRENCY)).toEqual([]);
  const admin = new Redis(redis.url);
  const names = ['key-rates', 'key-rate-ends', 'key-rate-line', 'key-rate-due', 'retry-key-rate-line'];
  await until(async () => (await admin.exists(...names.map((name) => `{tasks}:~${name}:sluice`))) === 0, {
    what: 'nothing of the rates is left',
  });
  admin.disconnect();
  // The history would show it.
  const [run] = history;
  const many = Array.from({ length: limit + 1 }, (_, i) => ({ ...run!, from: run!.from + BigInt(i) * 1_000_000n }));
  expect(shortestWindow(many, limit)).toBeLessThan(perMs);
});

it('a flood of one key holds up no other, also not while processes are killed', async () => {
  fleet = await OrderedFleet.open(redis.url, { CONCURRENCY: '4', KEY_RATE: '4/1000' });
  await fleet.fill(2);
  await fleet.publish(Array.from({ length: 3_000 }, (_, n) => ({ key: 'flood', n })));
  await until(() => startsOf('flood') > 0, { what: 'the flood has begun' });
  for (let round = 0; round < 3; round++) {
    await fleet.publish(Array.from({ length: 40 }, (_, n) => ({ key: `quiet ${round} ${n}`, n })));
    await fleet.killOne(round);
    await fleet.fill(2);
    await until(() => fleet!.history().filter(({ name }) => name.startsWith(`quiet ${round} `)).length >= 40, {
      what: 'the others have run',
    });
  }
  // Nearly all of it waits still.
  expect(startsOf('flood')).toBeLessThan(1_500);
  expect(shortestWindow(fleet.history(), 4)).toBeGreaterThanOrEqual(1_000);
});
