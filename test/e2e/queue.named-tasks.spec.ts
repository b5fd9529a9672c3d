import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { defineQueue, payload } from 'nestjs-sluice/queue';
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

const Files = defineQueue('files', { tasks: { import: payload<Work>(), export: payload<Work>() } });
const STREAMS = Object.values(Files.tasks).map(({ name }) => name);
/** For all names together, in each process. */
const LIMIT = 4;
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
  const env = { REDIS_URL: redis.url, LEDGER: ledger, LEASE_MS: '300', FILES_CONCURRENCY: String(LIMIT) };
  const worker = await forkApp('queue-worker', { env: { ...env, QUEUES: STREAMS.join() } });
  workers.push(worker);
  return worker;
}

it('a process that dies with tasks of two names in its common limit loses none, while the whole queue is paused', async () => {
  const { queue } = producer;
  const victim = await startWorker();
  const started = victim.once('started');
  const work = new Array<Work>(150).fill({ ms: TASK_MS });
  // Delayed tasks have unique ids: those of two streams may be the same.
  const ids = await Promise.all(
    Object.values(Files.tasks).map((each) => queue.publishMany(each, work, { delayMs: 1 })),
  );
  await started;
  await victim.kill();
  await queue.pause(Files);
  const heirs = [await startWorker(), await startWorker()];
  expect(heirs).toHaveLength(2);
  // What the dead process had is taken over while the queue is paused, or after; nothing runs.
  const before = readLedger(ledger).length;
  expect(await queue.counts(Files)).toMatchObject({ paused: true, dead: 0 });
  await until(async () => (await queue.workers(Files)).length === 2, { what: 'the lease of the dead one has ended' });
  expect(readLedger(ledger)).toHaveLength(before);
  await queue.resume(Files);
  await until(
    async () => {
      const { waiting, running, delayed } = await queue.counts(Files);
      return waiting + running + delayed === 0;
    },
    { what: 'nothing is left' },
  );
  expect(checkLedger(ids.flat(), readLedger(ledger), mostHeld(LIMIT, TASK_MS))).toEqual([]);
  expect(await queue.counts(Files)).toMatchObject({ dead: 0 });
});
