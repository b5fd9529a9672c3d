import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Work } from '../apps/queue-worker.js';
import { forkApp, type ForkedApp } from '../support/fork-app.js';
import { readHistory } from '../support/history.js';
import { checkLedger, readLedger } from '../support/ledger.js';
import { startQueueApp, type QueueApp } from '../support/queue-app.js';
import { until } from '../support/until.js';

const SIZE = 4;

let redis: RedisServer;
let operator: QueueApp;
let dir: string;
let ledger: string;
let workers: ForkedApp[] = [];
beforeEach(async () => {
  redis = await startRedis();
  operator = await startQueueApp({ url: redis.url });
  dir = mkdtempSync(join(tmpdir(), 'sluice-fleet-'));
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

async function fill(env: Record<string, string>): Promise<void> {
  const own = { REDIS_URL: redis.url, LEDGER: ledger, HISTORY: join(dir, 'history'), LEASE_MS: '500', ...env };
  const missing = Array.from({ length: SIZE - workers.length }, () => forkApp('queue-worker', { env: own }));
  workers.push(...(await Promise.all(missing)));
}

const publish = (count: number, ms: number): Promise<string[]> =>
  operator.queue.publishMany('tasks', new Array<Work>(count).fill({ ms }));

const done = async (): Promise<boolean> => {
  const { running, waiting, delayed } = await operator.queue.counts('tasks');
  return running + waiting + delayed === 0;
};

const someone = (): ForkedApp => workers[Math.floor(Math.random() * workers.length)]!;

async function killOne(): Promise<void> {
  const victim = someone();
  workers = workers.filter((each) => each !== victim);
  await victim.kill();
}

/** The most runs at one instant, over the histories of all processes. A run of a killed process ends with its last line. */
function mostAtOnce(): number {
  const steps = readHistory(join(dir, 'history')).flatMap(({ from, to }) => [
    { at: from, by: 1 },
    { at: to, by: -1 },
  ]);
  steps.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : a.by - b.by));
  let [most, now] = [0, 0];
  for (const { by } of steps) most = Math.max(most, (now += by));
  return most;
}

it('no more than concurrency.fleet tasks run at a time in four processes, while processes are killed', async () => {
  const env = { CONCURRENCY: '3', FLEET: '5' };
  await fill(env);
  const ids: string[] = [];
  let killed = 0;
  for (; killed < 6; killed++) {
    const before = readLedger(ledger).length;
    ids.push(...(await publish(60, 30)));
    await until(() => readLedger(ledger).length > before + 5, { what: 'it goes on' });
    await killOne();
    await fill(env);
  }
  await until(done, { what: 'all are done' });
  expect(mostAtOnce()).toBeLessThanOrEqual(5);
  // Several processes at a time, so that the limit was tried.
  expect(mostAtOnce()).toBeGreaterThan(3);
  const runs = readLedger(ledger);
  expect(checkLedger(ids, runs, killed * 3)).toEqual([]);
  expect(runs.every(({ attempt }) => attempt === 1)).toBe(true);
});

it('no more than rateLimit tasks start in any window in four processes, while they are killed and stopped', async () => {
  const [limit, perMs] = [40, 4_000];
  const env = { RATE: `${limit}/${perMs}` };
  await fill(env);
  const ids = await publish(4 * limit, 1);
  for (let i = 0; i < 8; i++) {
    if (i % 2 === 0) {
      await killOne();
      await fill(env);
      continue;
    }
    const victim = someone();
    victim.pause();
    // Longer than the lease, and shorter.
    await pause(i % 4 === 1 ? 1_500 : 200);
    victim.resume();
  }
  await until(done, { what: 'all are done' });
  const starts = readHistory(join(dir, 'history'))
    .map(({ from }) => Number(from) / 1e6)
    .sort((a, b) => a - b);
  const gaps = starts.slice(limit).map((at, i) => at - starts[i]!);
  expect(gaps.length).toBeGreaterThan(limit);
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(perMs);
  const runs = readLedger(ledger);
  expect(checkLedger(ids, runs, 4 * 10 * SIZE)).toEqual([]);
  expect(runs.every(({ attempt }) => attempt === 1)).toBe(true);
});

it('a killed process gives its places back with its lease, and its tasks come first', async () => {
  const env = { CONCURRENCY: '2', FLEET: '2' };
  await fill(env);
  const ids = await operator.queue.publishMany('tasks', [
    ...new Array<Work>(2).fill({ hangs: true }),
    ...new Array<Work>(3).fill({ ms: 1 }),
  ]);
  await until(async () => (await operator.queue.counts('tasks')).running === 2, { what: 'both places are taken' });
  expect(readLedger(ledger)).toEqual([]);
  await Promise.all(workers.splice(0).map((worker) => worker.kill()));
  await fill(env);
  await until(done, { what: 'all are done' });
  expect(mostAtOnce()).toBe(2);
  expect(
    readLedger(ledger)
      .map(({ id }) => id)
      .sort(),
  ).toEqual([...ids].sort());
});
