import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { defineQueue, type Priority } from 'nestjs-sluice/queue';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Work } from '../apps/queue-worker.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { connectionsOf, untilNoneBut } from '../support/late-commands.js';
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
const apps: QueueApp[] = [];
beforeEach(async () => {
  redis = await startRedis();
  producer = await startQueueApp({ url: redis.url });
  dir = mkdtempSync(join(tmpdir(), 'sluice-queue-'));
  ledger = join(dir, 'ledger');
  writeFileSync(ledger, '');
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.kill()));
  await Promise.all([producer, ...apps.splice(0)].map(({ app }) => app.close()));
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

it('publishers that die while they publish leave whole calls, which every group gets', async () => {
  const AT_ONCE = 40;
  const admin = new Redis(redis.url);
  try {
    // No process of these groups has opened the levels.
    const groups = ['sluice', 'others'];
    for (const group of groups) await admin.xgroup('CREATE', 'tasks', group, '0', 'MKSTREAM');
    const { queue } = producer;
    const known = await connectionsOf(admin);
    for (let kills = 1; kills <= 5; kills++) {
      const env = { REDIS_URL: redis.url, LEDGER: ledger, AT_ONCE: String(AT_ONCE) };
      const publisher = await forkApp('priority-producer', { env });
      workers.push(publisher);
      const enough = async (): Promise<boolean> => readLedger(ledger).length > kills * 6 * AT_ONCE;
      await until(enough, { what: `it publishes, kill ${kills}` });
      await publisher.kill();
      await untilNoneBut(known, admin);
      const { levels } = await queue.counts(Tasks);
      for (const level of ['high', 'low'] as const) {
        const { waiting = 0, delayed = 0 } = levels?.[level] ?? {};
        expect({ level, half: (waiting + delayed) % AT_ONCE }).toEqual({ level, half: 0 });
      }
    }
    const confirmed = readLedger(ledger).map(({ id }) => id);
    const { waiting, delayed } = await queue.counts(Tasks);
    const ran = new Map(groups.map((group) => [group, new Set<string>()]));
    for (const [group, ids] of ran) {
      const options = { group, concurrency: 50 };
      apps.push(
        await startQueueApp({
          url: redis.url,
          queue: { queues: { tasks: { shares: true } } },
          handlers: { tasks: { run: ({ id }) => ids.add(id), options } },
        }),
      );
    }
    for (const [group, ids] of ran) {
      await until(() => ids.size === waiting + delayed, { what: `${group} has had each of them` });
      expect(confirmed.filter((id) => !ids.has(id))).toEqual([]);
    }
  } finally {
    admin.disconnect();
  }
});
