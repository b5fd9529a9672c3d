import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { defineQueue, type Priority } from 'nestjs-sluice/queue';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Work } from '../apps/queue-worker.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { checkLedger, readLedger } from '../support/ledger.js';
import { mostHeld } from '../support/most-held.js';
import { startQueueApp, type QueueApp } from '../support/queue-app.js';
import { until } from '../support/until.js';

const Tasks = defineQueue<Work>('tasks', { shares: true });
const LEVELS: readonly Priority[] = ['high', 'normal', 'low'];
const CONCURRENCY = 4;
const TASK_MS = 5;

let redis: RedisServer;
let producer: QueueApp;
let dir: string;
let ledger: string;
const workers: ForkedApp[] = [];
beforeEach(async () => {
  redis = await startRedis();
  producer = await startQueueApp({ url: redis.url });
  dir = mkdtempSync(join(tmpdir(), 'sluice-queue-'));
  ledger = join(dir, 'ledger');
  writeFileSync(ledger, '');
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.kill()));
  await producer.app.close();
  await redis.stop();
  rmSync(dir, { recursive: true });
});

async function startWorker(): Promise<ForkedApp> {
  const env = { REDIS_URL: redis.url, LEDGER: ledger, LEASE_MS: '300', CONCURRENCY: String(CONCURRENCY), SHARES: '1' };
  const worker = await forkApp('queue-worker', { env });
  workers.push(worker);
  return worker;
}

it('processes that die with tasks of all levels lose none, and each task keeps its level', async () => {
  const { queue } = producer;
  const work = new Array<Work>(150).fill({ ms: TASK_MS });
  const victim = await startWorker();
  const started = victim.once('started');
  // Delayed tasks have unique ids: those of several streams may be the same.
  const ids = await Promise.all(LEVELS.map((priority) => queue.publishMany(Tasks, work, { priority, delayMs: 1 })));
  await started;
  // It has tasks of all levels: those that run, and prefetched ones.
  await victim.kill();
  const second = await startWorker();
  await second.once('started');
  await second.kill();
  const [dies = ''] = await queue.publishMany(Tasks, [{ fails: true }], {
    priority: 'low',
    delayMs: 1,
    maxAttempts: 1,
  });
  await startWorker();
  await startWorker();
  await until(
    async () => {
      const { waiting, running, delayed } = await queue.counts(Tasks);
      return waiting + running + delayed === 0;
    },
    { what: 'nothing is left' },
  );
  expect(checkLedger(ids.flat(), readLedger(ledger), mostHeld(CONCURRENCY, TASK_MS))).toEqual([]);
  expect(await queue.counts(Tasks)).toMatchObject({ dead: 1, levels: { low: { dead: 1 } } });
  expect((await queue.dead(Tasks).list()).tasks).toMatchObject([{ id: dies, priority: 'low' }]);
});
