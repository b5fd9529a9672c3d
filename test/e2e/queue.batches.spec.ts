import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BatchWork } from '../apps/batch-worker.js';
import { Books } from '../support/books.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { checkLedger, readLedger } from '../support/ledger.js';
import { startQueueApp, type QueueApp } from '../support/queue-app.js';
import { until } from '../support/until.js';

let redis: RedisServer;
let admin: Redis;
let books: Books;
let producer: QueueApp;
let dir: string;
let ledger: string;
const workers = new Set<ForkedApp>();
beforeEach(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url, { protocol: 2 });
  books = new Books(admin, 'tasks');
  producer = await startQueueApp({ url: redis.url });
  dir = mkdtempSync(join(tmpdir(), 'sluice-queue-'));
  ledger = join(dir, 'ledger');
  writeFileSync(ledger, '');
});
afterEach(async () => {
  await Promise.all([...workers].map((worker) => worker.kill()));
  workers.clear();
  await producer.app.close();
  admin.disconnect();
  await redis.stop();
  rmSync(dir, { recursive: true });
});

const fork = async (): Promise<ForkedApp> => {
  const worker = await forkApp('batch-worker', { env: { REDIS_URL: redis.url, LEDGER: ledger, LEASE_MS: '300' } });
  workers.add(worker);
  return worker;
};
const allSettled = (): Promise<unknown> => until(() => books.settled(), { what: 'all are settled' });

describe('a process that is killed in the middle of a batch', () => {
  it('loses none of its tasks: each runs elsewhere, and one that had failed alone does so again', async () => {
    const works = Array.from({ length: 60 }, (_, n): BatchWork => ({ fails: n === 3, hangs: n === 10 }));
    const ids = await producer.queue.publishMany('tasks', works);
    const first = await fork();
    // Half of the first batch is done, and one of its tasks has noted that it failed. Redis knows nothing of this yet.
    await first.once('hangs');
    await first.kill();
    await fork();
    await allSettled();
    const runs = readLedger(ledger);
    const repeated = 2 * 20;
    expect(
      checkLedger(
        ids.filter((_, n) => n !== 3),
        runs,
        repeated,
      ),
    ).toEqual([]);
    expect(runs.every(({ attempt }) => attempt === 1)).toBe(true);
    expect(await books.letters()).toMatchObject([{ original_id: ids[3], attempts: '2', error: 'Error: as asked' }]);
  });
});

describe('a task that kills its process', () => {
  it('takes two batches with it, and is then alone: it alone becomes a dead letter', async () => {
    const works = Array.from({ length: 60 }, (_, n): BatchWork => ({ kills: n === 30 }));
    const ids = await producer.queue.publishMany('tasks', works);
    let deaths = 0;
    // Whoever dies is replaced.
    while ((await books.letters()).length === 0) {
      const worker = await fork();
      const over = new AbortController();
      const dead = until(async () => over.signal.aborted || (await books.letters()).length > 0, {
        what: 'it is given up',
      });
      const died = worker.once('its end').then(
        () => true,
        () => true,
      );
      if (await Promise.race([dead.then(() => false), died])) deaths++;
      over.abort();
      await dead;
    }
    await allSettled();
    expect(await books.letters()).toMatchObject([{ original_id: ids[30], reason: 'max-deliveries', attempts: '0' }]);
    expect(deaths).toBe(5);
    const runs = readLedger(ledger);
    expect(new Set(runs.map(({ id }) => id))).toEqual(new Set(ids.filter((_, n) => n !== 30)));
    expect(Math.max(...runs.map(({ deliveries }) => deliveries))).toBeLessThanOrEqual(3);
  });
});
