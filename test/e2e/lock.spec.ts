import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { existing } from '../support/existing.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { GrantOrder } from '../support/grant-order.js';
import { checkIntervals, now, readHistory } from '../support/history.js';
import { itOnOneServer } from '../support/one-server.js';
import { until } from '../support/until.js';

let redis: RedisServer;
let admin: Redis;
let dir: string;
const workers: ForkedApp[] = [];
const SKEWS_MS = [-300, 0, 300];
const cronWorkers: { app: ForkedApp; skewMs: number }[] = [];
/** Of the skewed instances: the second that each run was for, in the order of the runs. */
const ticks: number[] = [];
/** How many of the instances had their call of each second in its first 300 ms, on their own clocks. */
const timely = new Map<number, number>();

beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
  dir = mkdtempSync(join(tmpdir(), 'sluice-lock-'));
  // The thirty ticks pass while the other tests run.
  await Promise.all(
    SKEWS_MS.map(async (skewMs) => {
      const app = await forkApp('cron-worker', { env: { REDIS_URL: redis.url, SKEW_MS: String(skewMs) } });
      app.on('run', (second: number) => ticks.push(second));
      app.on('timely', (second: number) => timely.set(second, (timely.get(second) ?? 0) + 1));
      cronWorkers.push({ app, skewMs });
    }),
  );
  [holder, next] = await Promise.all([fork('holder'), fork('next')]);
});
afterAll(async () => {
  await Promise.all([...workers, ...cronWorkers.map(({ app }) => app)].map((app) => app.kill()));
  admin.disconnect();
  await redis.stop();
  rmSync(dir, { recursive: true });
});

/** Processes that outlive their tests: each test leaves them with no lock, and starts those that it kills. */
let holder: ForkedApp;
let next: ForkedApp;

async function fork(name: string): Promise<ForkedApp> {
  const env = { REDIS_URL: redis.url, HISTORY_DIR: dir, WORKER: name };
  const app = await forkApp('lock-worker', { env });
  workers.push(app);
  return app;
}

const waiting = (lock: string, count: number): Promise<unknown> =>
  until(async () => (await admin.zcard(`{lock:${lock}}:~queue`)) === count, { what: `${count} wait`, everyMs: 5 });

interface Taken {
  at: bigint;
  token: number;
}

it('grants 3,000 times to 30 waiters in 3 processes: one at a time, tokens rising, in queue order', async () => {
  const fleet = await Promise.all(['a', 'b', 'c'].map(fork));
  const order = await GrantOrder.watch(redis.url, 'busy');
  const hammer = { name: 'busy', waiters: 10, rounds: 101, holdMs: 0 };
  const outcomes = await Promise.all(
    fleet.map((app) => app.call<{ grants: number; lost: number; failed: object }>('hammer', hammer)),
  );
  expect(outcomes).toEqual([1, 2, 3].map(() => ({ grants: 1_010, lost: 0, failed: {} })));
  const intervals = readHistory(dir).filter(({ name }) => name === 'busy');
  expect(intervals).toHaveLength(3_030);
  expect(checkIntervals(intervals)).toEqual([]);
  const { grants, outOfTurn } = await order.end();
  expect(grants).toBe(3_030);
  expect(outOfTurn).toEqual([]);
  expect(await admin.keys('*lock:busy*')).toEqual(['{lock:busy}:~fence']);
  // Nothing keeps a process of the fleet alive once it is closed.
  await Promise.all(fleet.map((app) => app.stop()));
});

it('passes on from a holder that is killed, within its lease', async () => {
  const victim = await fork('killed holder');
  await victim.call<Taken>('take', 'orphaned', 500);
  const granted = next.call<Taken>('take', 'orphaned', 500);
  await waiting('orphaned', 1);
  const killed = now();
  await victim.kill();
  const { at } = await granted;
  const tookMs = Number(at - killed) / 1e6;
  // Renewed at the latest when it was killed.
  expect(tookMs).toBeLessThan(500 + 250);
  await next.call('drop');
});

itOnOneServer('passes over a waiter that is killed, at once', async () => {
  const killed = await fork('killed waiter');
  await holder.call('take', 'queued', 30_000);
  const lost = expect(killed.call('take', 'queued', 30_000)).rejects.toThrow('SIGKILL');
  await waiting('queued', 1);
  const granted = next.call<Taken>('take', 'queued', 30_000);
  await waiting('queued', 2);
  await killed.kill();
  await lost;
  const released = now();
  await holder.call('drop');
  const { at } = await granted;
  expect(Number(at - released) / 1e6).toBeLessThan(500);
  await next.call('drop');
});

it('tells a process that was paused past its lease', async () => {
  const body = expect(holder.call('locked', 'slept', 300, 700)).rejects.toMatchObject({ code: 'SLUICE_LOCK_LOST' });
  await until(() => admin.exists('lock:slept'), { what: 'it holds the lock' });
  await holder.call('take', 'slept too', 300);
  holder.pause();
  const { token } = await next.call<Taken>('take', 'slept too', 30_000);
  expect(token).toBeGreaterThan(0);
  await next.call('take', 'slept', 30_000);
  holder.resume();
  expect(await holder.call('isHeld')).toBe(false);
  await body;
  expect(await existing(admin, 'lock:slept', 'lock:slept too')).toBe(2);
});

it('runs a job of 2 ms once per tick on three instances whose clocks differ by 600 ms: 30 ticks, 30 runs', async () => {
  for (const { app, skewMs } of cronWorkers) {
    const asked = Date.now();
    const told = (await app.call<number>('now')) - skewMs;
    expect(told).toBeGreaterThanOrEqual(asked - 1);
    expect(told).toBeLessThanOrEqual(Date.now() + 1);
  }
  await until(() => ticks.length >= 31, { what: '30 ticks passed', deadlineMs: 120_000 });
  const runs = ticks.slice(0, 31);
  expect(runs).toEqual([...new Set(runs)].sort((a, b) => a - b));
  // On a busy machine all calls of a second may be late. The whole fleet was there in time for these, and for the ones before.
  const wasDue = (second: number): boolean => [second - 1, second].every((at) => timely.get(at) === SKEWS_MS.length);
  expect(
    [...timely.keys()].filter((at) => at > runs[0]! && at < runs[30]! && wasDue(at) && !runs.includes(at)),
  ).toEqual([]);
});
