import { Redis } from 'ioredis';
import type { RedisServer } from 'nestjs-sluice/testing';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Books } from '../support/books.js';
import { defineChaos, holds, rejectsPlanted, type ChaosContext, type Verdict } from '../support/chaos.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { checkLedger, readLedger } from '../support/ledger.js';
import { startQueueApp } from '../support/queue-app.js';
import { until } from '../support/until.js';

const WORKERS = 3;
const CONCURRENCY = 10;
/** What a worker holds at most: its running tasks, and four at hand for each. */
const HELD = CONCURRENCY * 5;
const LEASE_MS = 1_000;

export default defineChaos({
  feature: 'queue',
  scenarios: {
    workers: {
      about: 'workers are killed and frozen, and Redis is paused, while tasks are published all the time',
      run: workersUnderFire,
    },
  },
});

async function workersUnderFire(ctx: ChaosContext): Promise<Verdict[]> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-chaos-queue-'));
  const redis = await ctx.startRedis();
  const workers: ForkedApp[] = [];
  try {
    return await fire(ctx, redis, join(dir, 'ledger'), workers);
  } finally {
    await Promise.all(workers.map((worker) => worker.kill()));
    rmSync(dir, { recursive: true });
  }
}

async function fire(ctx: ChaosContext, redis: RedisServer, ledger: string, workers: ForkedApp[]): Promise<Verdict[]> {
  writeFileSync(ledger, '');
  const admin = new Redis(redis.url, { protocol: 2 });
  const books = new Books(admin, 'tasks');
  const producer = await startQueueApp({ url: redis.url });
  const env = { REDIS_URL: redis.url, LEDGER: ledger, LEASE_MS: String(LEASE_MS), CONCURRENCY: String(CONCURRENCY) };
  const start = async (): Promise<unknown> => workers.push(await forkApp('queue-worker', { env }));
  await Promise.all(Array.from({ length: WORKERS }, start));

  const published: string[] = [];
  const counts = { killed: 0, frozen: 0, paused: 0 };
  for (let round = 0; ctx.more(round, 12); round++) {
    const works = Array.from({ length: 200 }, () => ({ ms: Math.floor(ctx.random() * 30) }));
    published.push(...(await producer.queue.publishMany('tasks', works)));
    await pause(ctx.random() * 100);
    const beyondMs = LEASE_MS * (1 + 2 * ctx.random());
    const draw = ctx.random();
    if (draw < 0.5) {
      counts.killed++;
      const [victim] = workers.splice(Math.floor(ctx.random() * workers.length), 1);
      await victim?.kill();
      await start();
    } else if (draw < 0.8) {
      counts.frozen++;
      const victim = workers[Math.floor(ctx.random() * workers.length)];
      victim?.pause();
      await pause(beyondMs);
      victim?.resume();
    } else {
      counts.paused++;
      redis.pause();
      await pause(beyondMs);
      redis.resume();
    }
  }
  const { killed, frozen, paused } = counts;
  ctx.log(`${killed} workers killed, ${frozen} frozen and Redis paused ${paused} times, for 1 to 3 leases`);
  const settled = await until(() => books.settled(), { what: 'all is settled', deadlineMs: 60_000 }).catch(() => false);

  const runs = readLedger(ledger);
  const allowed = (killed + frozen) * HELD;
  const extra = runs.length - new Set(runs.map(({ id }) => id)).size;
  const breaches = checkLedger(published, runs, allowed);
  const letters = await books.letters();
  await producer.app.close();
  admin.disconnect();

  const [first] = runs;
  const without = runs.filter(({ id }) => id !== first?.id);
  const beyond = Array.from({ length: allowed + 1 }, () => first).filter((run) => run !== undefined);
  return [
    holds('the books of Redis are closed: nothing waits, nothing is pending', settled),
    holds('no task was given up', letters.length === 0, `${letters.length} dead letters`),
    holds(
      'no task burned an attempt',
      runs.every(({ attempt }) => attempt === 1),
    ),
    holds(
      'every task ran, and no more runs were repeated than the victims held',
      breaches.length === 0,
      [
        `${published.length} tasks, ${extra} repeated of ${allowed} allowed`,
        ...breaches.map((each) => JSON.stringify(each)),
      ].join('; '),
    ),
    rejectsPlanted('a lost task', checkLedger(published, without, allowed)),
    rejectsPlanted('one repetition beyond the bound', checkLedger(published, [...runs, ...beyond], allowed)),
  ];
}
