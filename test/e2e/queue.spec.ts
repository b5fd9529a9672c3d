import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { QueueService } from 'nestjs-sluice/queue';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Work } from '../apps/queue-worker.js';
import { Books } from '../support/books.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { checkLedger, readLedger } from '../support/ledger.js';
import { mostHeld } from '../support/most-held.js';
import { startQueueApp, type QueueApp } from '../support/queue-app.js';
import { until } from '../support/until.js';

const CONCURRENCY = 10;

let redis: RedisServer;
let admin: Redis;
let books: Books;
let producer: QueueApp;
let dir: string;
let ledger: string;
let workers: ForkedApp[];
beforeEach(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url, { protocol: 2 });
  books = new Books(admin, 'tasks');
  producer = await startQueueApp({ url: redis.url });
  dir = mkdtempSync(join(tmpdir(), 'sluice-queue-'));
  ledger = join(dir, 'ledger');
  writeFileSync(ledger, '');
  workers = [];
});
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.kill()));
  await producer.app.close();
  admin.disconnect();
  await redis.stop();
  rmSync(dir, { recursive: true });
});

async function startWorker(env: Record<string, string> = {}): Promise<ForkedApp> {
  const worker = await forkApp('queue-worker', {
    env: { REDIS_URL: redis.url, LEDGER: ledger, LEASE_MS: '300', CONCURRENCY: String(CONCURRENCY), ...env },
  });
  workers.push(worker);
  return worker;
}

const publish = (count: number, work: Work): Promise<string[]> =>
  producer.app.get(QueueService).publishMany('tasks', new Array<Work>(count).fill(work));

const runs = (): number => (statSync(ledger).size === 0 ? 0 : readLedger(ledger).length);

/** The books of Redis are closed: nothing waits, nothing is pending, nothing was given up. */
async function untilBalanced(): Promise<void> {
  await until(() => books.settled(), { what: 'all is settled' });
  expect(await books.letters()).toEqual([]);
}

describe('workers', () => {
  it('killed ten times during 2,000 tasks lose none, and repeat no more than they held', async () => {
    const kills = 10;
    await Promise.all([startWorker(), startWorker(), startWorker()]);
    const ms = 30;
    const ids = await publish(2_000, { ms });
    for (let kill = 1; kill <= kills; kill++) {
      await until(() => runs() >= kill * 150, { what: `${kill * 150} tasks ran` });
      const [victim] = workers.splice(kill % workers.length, 1);
      const replaced = startWorker();
      await victim!.kill();
      await replaced;
    }
    await untilBalanced();
    expect(checkLedger(ids, readLedger(ledger), kills * mostHeld(CONCURRENCY, ms))).toEqual([]);
    expect(readLedger(ledger).every(({ attempt }) => attempt === 1)).toBe(true);
  });

  it('restarted one after the other, gracefully, run every task exactly once', async () => {
    // Nothing here waits for a lease to end, and none may end because the machine is busy.
    const unhurried = { LEASE_MS: '10000' };
    await Promise.all([startWorker(unhurried), startWorker(unhurried)]);
    const ids = await publish(600, { ms: 20 });
    for (let restart = 1; restart <= 4; restart++) {
      await until(() => runs() >= restart * 80, { what: `${restart * 80} tasks ran` });
      const old = workers.shift()!;
      await startWorker(unhurried);
      await old.stop();
    }
    await untilBalanced();
    const all = readLedger(ledger);
    expect(checkLedger(ids, all, 0)).toEqual([]);
    expect(all.filter(({ attempt, deliveries }) => attempt !== 1 || deliveries !== 1)).toEqual([]);
  });

  it('frozen beyond their lease find their work taken over, and settle none of it', async () => {
    const frozen = await startWorker({ NAME: 'frozen' });
    let started = 0;
    frozen.on('started', () => started++);
    const ids = await publish(5 * CONCURRENCY, { ms: 400, failsIn: 'frozen' });
    await until(() => started === CONCURRENCY, { what: 'it is busy' });
    frozen.pause();
    await startWorker();
    await untilBalanced();
    // Whatever it failed would be queued again, were it not fenced.
    frozen.resume();
    await pause(1_500);
    await untilBalanced();
    expect(started).toBe(CONCURRENCY);
    expect(checkLedger(ids, readLedger(ledger), 0)).toEqual([]);
    expect(readLedger(ledger).every(({ attempt }) => attempt === 1)).toBe(true);
    const [next] = await publish(1, { ms: 0 });
    await until(() => readLedger(ledger).some(({ id }) => id === next), { what: 'they work on' });
    await frozen.stop();
  });

  it('frozen inside a blocking read do not swallow what Redis still hands to them', async () => {
    const frozen = await startWorker();
    let started = 0;
    frozen.on('started', () => started++);
    await until(async () => String(await admin.client('LIST')).includes('cmd=xreadgroup'), { what: 'it reads' });
    const [consumer = ''] = await admin.zrange('{tasks}:~alive', '0', '-1');
    frozen.pause();
    const ids = await publish(5, {});
    const other = await startWorker();
    await untilBalanced();
    expect(checkLedger(ids, readLedger(ledger), 0)).toEqual([]);
    // What it is handed now, late, it must not start: its lease has ended.
    await other.stop();
    frozen.resume();
    await until(async () => Number(await admin.zscore('{tasks}:~alive', consumer)) > Date.now(), {
      what: 'it is back',
    });
    const [next] = await publish(1, {});
    await until(() => started > 0, { what: 'it works on' });
    await untilBalanced();
    expect(checkLedger([...ids, next!], readLedger(ledger), 0)).toEqual([]);
  });

  it('killed at the defaults leave nothing undone for more than a lease and a bit', async () => {
    const defaults = { LEASE_MS: '5000' };
    const victim = await startWorker(defaults);
    const ids = await publish(CONCURRENCY, { hangs: true });
    await until(async () => (await books.pending()) === CONCURRENCY, { what: 'it has them all' });
    // The survivor's own lease has to be unbroken for as long before it may judge.
    await startWorker(defaults);
    await pause(5_500);
    const killedMs = performance.now();
    await victim.kill();
    await untilBalanced();
    expect(performance.now() - killedMs).toBeLessThan(7_000);
    expect(checkLedger(ids, readLedger(ledger), 0)).toEqual([]);
  });
});
