import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worked } from '../apps/queue-worker.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { until } from '../support/until.js';

const LONG_MS = 3_600_000;

let redis: RedisServer;
let admin: Redis;
let dir: string;
const apps: ForkedApp[] = [];
beforeEach(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
  dir = mkdtempSync(join(tmpdir(), 'sluice-join-'));
  writeFileSync(join(dir, 'ledger'), '');
});
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.kill()));
  admin.disconnect();
  await redis.stop();
  rmSync(dir, { recursive: true });
});

async function start(name: string): Promise<ForkedApp> {
  const env = { REDIS_URL: redis.url, LEDGER: join(dir, 'ledger'), LEASE_MS: '500', CONCURRENCY: '20' };
  const app = await forkApp(name, { env });
  apps.push(app);
  return app;
}
const joined = async (): Promise<number> => {
  const [key] = await admin.keys('*~waiters:*');
  return key === undefined ? 0 : admin.hlen(key);
};

it('the caller that published is killed, then the worker: the others have the result of the second delivery', async () => {
  const callers = await Promise.all([1, 2, 3].map(() => start('result-caller')));
  const ended: Partial<Worked>[] = [];
  for (const [i, caller] of callers.entries()) {
    caller.on('ended', (end: Partial<Worked>) => void ended.push(end));
    await caller.call('call', { hangs: true }, LONG_MS, 'k');
    await until(async () => (await joined()) === i + 1, { what: `${i + 1} wait` });
  }
  expect(await admin.xlen('tasks')).toBe(1);
  await callers[0]!.kill();
  const first = await start('queue-worker');
  await until(async () => Number((await admin.xpending('tasks', 'sluice'))[0]) === 1, { what: 'it runs' });
  await first.kill();
  const second = await start('queue-worker');
  await until(() => ended.length === 2, { what: 'the others have it' });
  expect(ended).toMatchObject([
    { pid: second.pid, deliveries: 2 },
    { pid: second.pid, deliveries: 2 },
  ]);
  await until(async () => (await joined()) === 0, { what: 'nobody is noted any more' });
});

it('calls with one key from three processes, while workers are killed: none is forgotten, and tasks are shared', async () => {
  const [a, b, c] = await Promise.all([1, 2, 3].map(() => start('result-caller')));
  let worker = await start('queue-worker');
  const callers = [a!, b!, c!];
  const failed = Promise.all(callers.map((caller) => caller.call('join', 'k', 40, 5, 240_000)));
  for (let i = 0; i < 3; i++) {
    await worker.kill();
    worker = await start('queue-worker');
  }
  expect(await failed).toEqual([0, 0, 0]);
  const info = (await admin.xinfo('STREAM', 'tasks')) as unknown[];
  const added = Number(info[info.indexOf('entries-added') + 1]);
  // 600 calls.
  expect(added).toBeLessThan(600);
  await until(async () => (await joined()) === 0, { what: 'nobody is noted any more' });
});
