import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { FailedTask } from 'nestjs-sluice/queue';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Work } from '../apps/queue-worker.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
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

const FAILURES = '{tasks}.failures';

const fork = async (): Promise<ForkedApp> => {
  const env = { REDIS_URL: redis.url, LEDGER: ledger, LEASE_MS: '300', BACKOFF_MS: '0', DEAD_LETTER_TO: FAILURES };
  const worker = await forkApp('queue-worker', { env });
  workers.push(worker);
  return worker;
};

describe('processes that are killed while tasks fail', () => {
  it('publish one task about each dead letter', async () => {
    const { queue } = operator;
    const ids = await queue.publishMany('tasks', new Array<Work>(200).fill({ fails: true, ms: 5 }));
    const failed = async (): Promise<number> => (await queue.counts(FAILURES)).waiting;
    for (const kills of [1, 2]) {
      const victim = await fork();
      const before = await failed();
      await until(async () => (await failed()) >= before + 20, { what: `it is at work before kill ${kills}` });
      await victim.kill();
    }
    await fork();
    await until(async () => (await queue.counts('tasks')).dead === ids.length, { what: 'all are dead letters' });
    const { tasks } = await queue.list(FAILURES, { limit: 1_000 });
    expect(tasks.map(({ payload }) => (payload as FailedTask).id).sort()).toEqual([...ids].sort());
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, running: 0, delayed: 0 });
  });
});
