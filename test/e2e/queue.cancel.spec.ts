import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Work } from '../apps/queue-worker.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { readLedger } from '../support/ledger.js';
import { startQueueApp, type QueueApp } from '../support/queue-app.js';
import { until } from '../support/until.js';

let redis: RedisServer;
let operator: QueueApp;
let dir: string;
let ledger: string;
let workers: ForkedApp[] = [];
beforeEach(async () => {
  redis = await startRedis();
  operator = await startQueueApp({ url: redis.url });
  dir = mkdtempSync(join(tmpdir(), 'sluice-queue-'));
  ledger = join(dir, 'ledger');
  writeFileSync(ledger, '');
});
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.kill()));
  workers = [];
  await operator.app.close();
  await redis.stop();
  rmSync(dir, { recursive: true });
});

const fork = async (): Promise<ForkedApp> => {
  const worker = await forkApp('queue-worker', { env: { REDIS_URL: redis.url, LEDGER: ledger, LEASE_MS: '500' } });
  workers.push(worker);
  return worker;
};

describe('a process that is killed with cancelled tasks', () => {
  it('has none of them run again, and all others', async () => {
    const { queue } = operator;
    const first = await fork();
    // More than a process runs at a time, so some are prefetched.
    const ids = await queue.publishMany('tasks', new Array<Work>(10).fill({ hangs: true }));
    await until(async () => (await queue.counts('tasks')).running === 10, { what: 'it has all of them' });
    const cancelled = ids.filter((_, i) => i % 2 === 0);
    for (const id of cancelled) expect(await queue.cancel('tasks', id)).toBe('aborting');
    await first.kill();
    await fork();
    await until(async () => (await queue.counts('tasks')).running + (await queue.counts('tasks')).waiting === 0, {
      what: 'all are settled',
    });
    const runs = readLedger(ledger).map(({ id }) => id);
    expect([...runs].sort()).toEqual(ids.filter((id) => !cancelled.includes(id)).sort());
    expect(await queue.counts('tasks')).toMatchObject({ delayed: 0, dead: 0 });
  });
});
