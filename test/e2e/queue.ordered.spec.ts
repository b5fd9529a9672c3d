import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { OrderedFleet, brokenOrders, mostOfOneKey, orderedWork } from '../support/ordered-fleet.js';
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

it('each key is in order and one at a time, through failures, kills, stops and a scale-out', async () => {
  const CONCURRENCY = 8;
  fleet = await OrderedFleet.open(redis.url, { CONCURRENCY: String(CONCURRENCY) });
  await fleet.fill(2);
  for (let round = 0; round < 4; round++) {
    const before = fleet.succeeded;
    const work = orderedWork(40, 5, Math.random, 20);
    await fleet.publish(work.map((each) => ({ ...each, n: each.n + 5 * round })));
    await until(() => fleet!.succeeded > before + 30, { what: 'it goes on' });
    await fleet.killOne(round);
    // The fleet grows meanwhile.
    await fleet.fill(Math.min(4, 3 + round));
    // Shorter than the lease, and longer.
    await fleet.pauseOne(round, round % 2 === 0 ? 150 : 900, round % 2 === 1);
  }
  await until(() => fleet!.isDone(), { what: 'all are done' });
  expect(fleet.violations(10 * CONCURRENCY)).toEqual([]);
  const admin = new Redis(redis.url);
  await until(async () => (await admin.exists('{tasks}:~gates:sluice', '{tasks}:~line:sluice')) === 0, {
    what: 'nothing of the order is left',
  });
  admin.disconnect();
  // The history would show it.
  const [run] = fleet.history();
  expect(brokenOrders([run!, { ...run!, from: run!.from + 1n, to: run!.to + 2n }])).toHaveLength(
    run!.to > run!.from ? 1 : 0,
  );
  expect(brokenOrders([run!, { ...run!, from: run!.to, token: -2 }])).toHaveLength(1);
});

it('no more than perKey tasks of a key run at a time, while processes are killed', async () => {
  const CONCURRENCY = 8;
  fleet = await OrderedFleet.open(redis.url, { CONCURRENCY: String(CONCURRENCY), PER_KEY: '2' });
  await fleet.fill(4);
  for (let round = 0; round < 4; round++) {
    const before = fleet.succeeded;
    await fleet.publish(orderedWork(6, 25, Math.random, 20));
    await until(() => fleet!.succeeded > before + 30, { what: 'it goes on' });
    await fleet.killOne(round);
    await fleet.fill(4);
  }
  await until(() => fleet!.isDone(), { what: 'all are done' });
  expect(fleet.lost(10 * CONCURRENCY)).toEqual([]);
  expect(mostOfOneKey(fleet.history())).toBe(2);
});

it('a killed process keeps only the keys of its tasks, until its lease has ended', async () => {
  fleet = await OrderedFleet.open(redis.url, { CONCURRENCY: '2', LEASE_MS: '2000' });
  await fleet.fill(1);
  await fleet.publish([
    { key: 'a', n: 0, ms: 60_000 },
    { key: 'b', n: 0, ms: 60_000 },
  ]);
  await until(() => fleet!.history().length === 2, { what: 'both run' });
  await fleet.killOne(0);
  await fleet.publish([
    { key: 'a', n: 1 },
    { key: 'c', n: 0 },
    { key: 'c', n: 1 },
  ]);
  await fleet.fill(1);
  await until(() => fleet!.succeeded === 2, { what: 'another key goes on' });
  const began = fleet.history().filter(({ name }) => name === 'a');
  // Its second run is that of the new process: it hangs for a minute as well.
  await until(() => fleet!.history().filter(({ name, token }) => name !== 'c' && token === 0).length === 4, {
    what: 'the tasks of the killed process run again',
  });
  expect(began.every(({ token }) => token === 0)).toBe(true);
  expect(brokenOrders(fleet.history())).toEqual([]);
});
