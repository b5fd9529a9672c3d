import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import type { SluiceCacheModuleOptions } from 'nestjs-sluice/cache';
import { keysLeft } from '../support/cache-bed.js';
import type {
  BurstOrder,
  ColdKey,
  ColdOrder,
  Loaded,
  LoadEvent,
  LoadSpan,
  WorkerSettings,
} from '../apps/cache-worker.js';
import { commandDelta } from '../support/command-delta.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { now } from '../support/history.js';
import { until } from '../support/until.js';

let redis: RedisServer;
let admin: Redis;
let fleet: ForkedApp[] = [];
/** Every load of the fleet, as the loaders report it from outside of the cache. */
let loads: LoadEvent[] = [];
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});
beforeEach(async () => {
  await admin.flushall();
  loads = [];
});

/** Each must exit by itself: nothing that the cache opened may be left over. */
async function stop(): Promise<void> {
  await Promise.all(fleet.map((app) => app.stop()));
}

async function start(processes: number, cache: SluiceCacheModuleOptions = {}): Promise<void> {
  // A machine that is busy with other tests must not pass for a Redis that does not answer.
  // Each test flushes Redis, which invalidates nothing: no copies of an earlier one's keys.
  const own = { readTimeoutMs: 5_000, local: false };
  const settings: WorkerSettings = { url: redis.url, namespace: 'e2e', cache: { ...own, ...cache } };
  fleet = await Promise.all(
    Array.from({ length: processes }, () => forkApp('cache-worker', { env: { WORKER: JSON.stringify(settings) } })),
  );
  for (const app of fleet) app.on('load', (event: LoadEvent) => loads.push(event));
}

type Order = Omit<BurstOrder, 'startAt'>;

/** All processes at once. What each caller got, by process. */
async function burst(order: Order): Promise<PromiseSettledResult<Loaded>[][]> {
  const startAt = now() + 5_000_000n;
  return Promise.all(fleet.map((app) => app.call<PromiseSettledResult<Loaded>[]>('burst', { ...order, startAt })));
}

/** One load of each key, which all callers of the key got. */
async function expectOneLoadEach(orders: Order[]): Promise<void> {
  const rounds = await Promise.all(orders.map(async (order) => ({ order, callers: (await burst(order)).flat() })));
  for (const { order, callers } of rounds) {
    expect(callers).toHaveLength(fleet.length * order.callers);
    const [first] = callers;
    expect(first).toEqual({ status: 'fulfilled', value: { by: expect.any(Number), load: expect.any(Number) } });
    expect(callers).toEqual(Array(callers.length).fill(first));
    expect(loads.filter(({ key }) => key === order.key)).toHaveLength(1);
  }
}

/** Besides values, nothing is left; and values are kept for a time. */
async function expectOnlyValues(): Promise<void> {
  const keys = await keysLeft(admin);
  expect(keys.filter((key) => !key.startsWith('{e2e:cache}:'))).toEqual([]);
  for (const key of keys) expect(await admin.pttl(key)).toBeGreaterThan(0);
}

describe('four processes', () => {
  beforeAll(() => start(4));
  afterAll(stop);

  const ROUNDS = 50;

  it.each([
    [0, 1],
    [1, 5],
    [100, 25],
  ])('× 25 callers on a cold key: one load, %d ms long, in each of 50 rounds', async (loaderMs, sideBySide) => {
    for (let round = 0; round < ROUNDS; round += sideBySide) {
      const orders = Array.from({ length: sideBySide }, (_, i) => ({
        key: `round ${round + i}`,
        callers: 25,
        loaderMs,
        // Some come before, during and after the fill: also those who read a miss just before it.
        spreadMs: Math.max(2, loaderMs * 2),
      }));
      await expectOneLoadEach(orders);
    }
    expect(loads).toHaveLength(ROUNDS);
    await expectOnlyValues();
  });

  it('× 25 callers of a decorated method: one load, under its default key', async () => {
    const calls = fleet.flatMap((app) => Array.from({ length: 25 }, () => app.call<Loaded>('product', '7', 100)));
    const values = await Promise.all(calls);
    expect(values).toEqual(Array(100).fill(values[0]));
    expect(loads).toHaveLength(1);
  });

  it('20 keys side by side, each load twice as long as the default lease: one load each', async () => {
    await expectOneLoadEach(
      Array.from({ length: 20 }, (_, i) => ({ key: `slow ${i}`, callers: 5, loaderMs: 6_000, spreadMs: 5_500 })),
    );
    await expectOnlyValues();
  });

  it('a delete during a load: what was loaded is never stored, the next reader loads', async () => {
    const [loader, waiter, other] = fleet as [ForkedApp, ForkedApp, ForkedApp];
    const old = loader.call<Loaded>('read', 'k', 300);
    await until(() => loads.length === 1, { what: 'it loads' });
    const waiting = waiter.call<Loaded>('read', 'k', 1);
    await until(async () => (await admin.hlen('{e2e:cache}~lease:k')) === 5, { what: 'another waits' });
    await other.call('delete', 'k');
    const fresh = await waiting;
    expect(fresh.by).toBe(waiter.pid);
    expect((await old).by).toBe(loader.pid);
    expect(await other.call('read', 'k', 1)).toEqual(fresh);
    expect(await loader.call('read', 'k', 1)).toEqual(fresh);
    expect(loads).toHaveLength(2);
  });

  it('a source that takes two loads at once: never more in the whole fleet, each key once', async () => {
    const options = { maxConcurrentLoads: 2, source: 'db' };
    const order = { keys: 40, callers: 3, spreadMs: 20, loaderMs: 5, startAt: now(), options };
    const got = await Promise.all(
      fleet.map((app) => app.call<ColdKey[]>('cold', { ...order, prefix: 'k' } satisfies ColdOrder)),
    );
    const spans = (await Promise.all(fleet.map((app) => app.call<LoadSpan[]>('spans')))).flat();
    expect(spans.map(({ key }) => key).sort()).toEqual(Array.from({ length: 40 }, (_, i) => `k${i}`).sort());
    expect(new Set(got.flat().map((each) => JSON.stringify(each))).size).toBe(40);
    for (const { from } of spans) {
      expect(spans.filter((other) => other.from <= from && from < other.to).length).toBeLessThanOrEqual(2);
    }
  });

  it('a value above what a message may hold: loaded once, read once by each process that waits', async () => {
    const bytes = 200_000;
    await fleet[0]!.call('large', 'so that the scripts are known', 10);
    const { calls } = await commandDelta(admin, async () => {
      const values = await Promise.all(
        fleet.flatMap((app) => [1, 2, 3].map(() => app.call<string>('large', 'k', bytes))),
      );
      expect(values.every((value) => value.length === bytes)).toBe(true);
    });
    expect(loads.filter(({ key }) => key === 'k')).toHaveLength(1);
    // Four ask, one fills, three ask again; a renewal may come between.
    expect((calls['evalsha'] ?? 0) + (calls['eval'] ?? 0)).toBeLessThanOrEqual(9);
  });

  it('a failing loader: one attempt per back-off in the fleet, its error for everybody', async () => {
    const errorBackoffMs = 200;
    const results = await burst({
      key: 'k',
      callers: 200,
      loaderMs: 10,
      spreadMs: 1_000,
      fails: 'the source is down',
      options: { errorBackoffMs },
    });
    for (const result of results.flat()) {
      expect(result.status).toBe('rejected');
      expect((result as PromiseRejectedResult).reason).toMatchObject({
        message: expect.stringContaining('the source is down'),
      });
    }
    const attempts = loads.map(({ at }) => at).sort((a, b) => (a < b ? -1 : 1));
    expect(attempts.length).toBeGreaterThan(1);
    for (const [i, at] of attempts.slice(1).entries()) {
      // The server counts whole milliseconds.
      expect(Number(at - attempts[i]!) / 1e6).toBeGreaterThan(errorBackoffMs - 1);
    }
  });
});

describe('a process that fails', () => {
  afterEach(stop);

  it('a loading process that is killed: exactly one other loads, within the lease', async () => {
    const leaseMs = 400;
    await start(4, { leaseMs });
    const [first, ...others] = fleet as [ForkedApp, ...ForkedApp[]];
    const died = first.call('read', 'k', 60_000).catch(() => 'died');
    await until(() => loads.length === 1, { what: 'it loads' });
    const waiting = others.flatMap((app) => Array.from({ length: 10 }, () => app.call<Loaded>('read', 'k', 50)));
    await until(async () => (await admin.hlen('{e2e:cache}~lease:k')) >= 4 + others.length, {
      what: 'the others wait',
    });
    const killedAt = now();
    await first.kill();
    fleet = others;
    const values = await Promise.all(waiting);
    expect(await died).toBe('died');
    expect(loads).toHaveLength(2);
    expect(values).toEqual(Array(30).fill(values[0]));
    // Within the lease: ten times that would be a fault, not a busy machine.
    expect(Number(loads[1]!.at - killedAt) / 1e6).toBeLessThan(leaseMs * 10);
    await expectOnlyValues();
  });

  it('a loading process that is paused past its lease: its fill is refused', async () => {
    await start(2, { leaseMs: 300 });
    const [sleeper, other] = fleet as [ForkedApp, ForkedApp];
    const slept = sleeper.call<Loaded>('read', 'k', 200);
    await until(() => loads.length === 1, { what: 'it loads' });
    sleeper.pause();
    const taken = await other.call<Loaded>('read', 'k', 1);
    expect(taken.by).toBe(other.pid);
    sleeper.resume();
    expect((await slept).by).toBe(sleeper.pid);
    expect(await other.call('get', 'k')).toEqual(taken);
    expect(await sleeper.call('read', 'k', 1)).toEqual(taken);
    expect(loads).toHaveLength(2);
  });
});
