import { Redis } from 'ioredis';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Books } from '../../support/books.js';
import { holds, rejectsPlanted, type ChaosContext, type Verdict } from '../../support/chaos.js';
import { forkApp, type ForkedApp } from '../../support/fork-app.js';
import { checkLedger, readLedger } from '../../support/ledger.js';
import { startQueueApp } from '../../support/queue-app.js';
import { until } from '../../support/until.js';

const LEASE_MS = 1_000;

/** Redis is paused for three leases, under load: when it is back, nobody takes anybody for dead. */
export async function outage(ctx: ChaosContext): Promise<Verdict[]> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-chaos-outage-'));
  const ledger = join(dir, 'ledger');
  writeFileSync(ledger, '');
  const redis = await ctx.startRedis();
  const admin = new Redis(redis.url, { protocol: 2, maxRetriesPerRequest: null });
  const books = new Books(admin, 'tasks');
  const { app, queue } = await startQueueApp({ url: redis.url });
  const workers: ForkedApp[] = [];
  try {
    const env = { REDIS_URL: redis.url, LEDGER: ledger, LEASE_MS: String(LEASE_MS) };
    for (let n = 0; n < 3; n++) workers.push(await forkApp('queue-worker', { env }));
    const published: string[] = [];
    let rounds = 0;
    for (; ctx.more(rounds, 5); rounds++) {
      const works = Array.from({ length: 600 }, () => ({ ms: Math.floor(ctx.random() * 100) }));
      published.push(...(await queue.publishMany('tasks', works)));
      // Each lease unbroken for long: they may judge, if they had reason to.
      await pause(1.5 * LEASE_MS);
      redis.pause();
      await pause(3 * LEASE_MS);
      redis.resume();
      await pause(2 * LEASE_MS);
    }
    const settled = await until(() => books.settled(), { what: 'all is settled', deadlineMs: 60_000 }).catch(
      () => false,
    );
    const runs = readLedger(ledger);
    const breaches = checkLedger(published, runs, 0);
    ctx.log(`${rounds} outages of three leases, ${published.length} tasks`);
    return [
      holds('all is settled', settled),
      holds(
        'every task ran exactly once',
        breaches.length === 0,
        breaches.map((each) => JSON.stringify(each)).join('; '),
      ),
      rejectsPlanted('a task that ran twice', checkLedger(published, [...runs, ...runs.slice(0, 1)], 0)),
    ];
  } finally {
    await Promise.all(workers.map((worker) => worker.kill()));
    await app.close();
    admin.disconnect();
    rmSync(dir, { recursive: true });
  }
}
