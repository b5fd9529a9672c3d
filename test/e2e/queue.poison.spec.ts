import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Work } from '../apps/queue-worker.js';
import { Books } from '../support/books.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { readLedger } from '../support/ledger.js';
import { startQueueApp, type QueueApp } from '../support/queue-app.js';
import { until } from '../support/until.js';

let redis: RedisServer;
let admin: Redis;
let producer: QueueApp;
let dir: string;
let ledger: string;
beforeEach(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url, { protocol: 2 });
  producer = await startQueueApp({ url: redis.url });
  dir = mkdtempSync(join(tmpdir(), 'sluice-queue-'));
  ledger = join(dir, 'ledger');
  writeFileSync(ledger, '');
});
afterEach(async () => {
  await producer.app.close();
  admin.disconnect();
  await redis.stop();
  rmSync(dir, { recursive: true });
});

describe('a task that kills its process', () => {
  it('becomes a dead letter after five deaths, and none of its hundreds of neighbours does', async () => {
    const books = new Books(admin, 'tasks');
    const works = Array.from({ length: 400 }, (_, n): Work => (n === 120 ? { kills: true } : { ms: 5 }));
    const ids = await producer.queue.publishMany('tasks', works);
    let deaths = 0;
    const over = new AbortController();
    const isOver = (): boolean => over.signal.aborted;
    const working = new Set<ForkedApp>();
    // As an orchestrator does: whoever dies is replaced.
    const keepOneAlive = async (): Promise<void> => {
      while (!isOver()) {
        const worker = await forkApp('queue-worker', {
          env: { REDIS_URL: redis.url, LEDGER: ledger, LEASE_MS: '300' },
        });
        working.add(worker);
        if (isOver()) await worker.kill();
        await worker.once('its end').catch(() => {});
        working.delete(worker);
        deaths++;
      }
    };
    const crew = [keepOneAlive(), keepOneAlive()];
    try {
      const settled = until(async () => (await books.letters()).length > 0 && (await books.settled()), {
        what: 'it is given up, and all others are done',
        // Seven processes start, one after the other. Beside busy processes, each has taken a minute.
        deadlineMs: 550_000,
      });
      // A worker that cannot be started fails the test at once.
      await Promise.race([settled, Promise.all(crew)]);
    } finally {
      over.abort();
      const died = deaths;
      await Promise.all([...working].map((worker) => worker.kill()));
      await Promise.all(crew);
      deaths = died;
    }
    expect(await books.letters()).toMatchObject([
      { original_id: ids[120], reason: 'max-deliveries', deliveries: '5', attempts: '0' },
    ]);
    expect(deaths).toBe(5);
    const runs = readLedger(ledger);
    expect(new Set(runs.map(({ id }) => id))).toEqual(new Set(ids.filter((_, n) => n !== 120)));
    expect(runs.every(({ attempt }) => attempt === 1)).toBe(true);
    // Its first two deaths cost its neighbours a delivery each; after that it is alone.
    expect(Math.max(...runs.map(({ deliveries }) => deliveries))).toBeLessThanOrEqual(3);
  });
});
