import { expect, it } from '@jest/globals';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Work } from '../apps/queue-worker.js';
import type { ForkedApp } from '../support/fork-app.js';
import { ForkedBed } from '../support/forked-bed.js';
import { readHistory } from '../support/history.js';
import { checkLedger, readLedger } from '../support/ledger.js';
import { until } from '../support/until.js';

const SIZE = 4;

const bed = new ForkedBed();

async function fill(env: Record<string, string>): Promise<void> {
  const own = { HISTORY: join(bed.dir, 'history'), LEASE_MS: '500', ...env };
  await Promise.all(Array.from({ length: SIZE - bed.workers.length }, () => bed.fork(own)));
}

const publish = (count: number, ms: number): Promise<string[]> =>
  bed.operator.queue.publishMany('tasks', new Array<Work>(count).fill({ ms }));

const done = async (): Promise<boolean> => {
  const { running, waiting, delayed } = await bed.operator.queue.counts('tasks');
  return running + waiting + delayed === 0;
};

const someone = (): ForkedApp => bed.workers[Math.floor(Math.random() * bed.workers.length)]!;

async function killOne(): Promise<void> {
  const victim = someone();
  bed.workers = bed.workers.filter((each) => each !== victim);
  await victim.kill();
}

/** The most runs at one instant, over the histories of all processes. A run of a killed process ends with its last line. */
function mostAtOnce(): number {
  const steps = readHistory(join(bed.dir, 'history')).flatMap(({ from, to }) => [
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
    const before = readLedger(bed.ledger).length;
    ids.push(...(await publish(60, 30)));
    await until(() => readLedger(bed.ledger).length > before + 5, { what: 'it goes on' });
    await killOne();
    await fill(env);
  }
  await until(done, { what: 'all are done' });
  expect(mostAtOnce()).toBeLessThanOrEqual(5);
  // Several processes at a time, so that the limit was tried.
  expect(mostAtOnce()).toBeGreaterThan(3);
  const runs = readLedger(bed.ledger);
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
  const starts = readHistory(join(bed.dir, 'history'))
    .map(({ from }) => Number(from) / 1e6)
    .sort((a, b) => a - b);
  const gaps = starts.slice(limit).map((at, i) => at - starts[i]!);
  expect(gaps.length).toBeGreaterThan(limit);
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(perMs);
  const runs = readLedger(bed.ledger);
  expect(checkLedger(ids, runs, 4 * 10 * SIZE)).toEqual([]);
  expect(runs.every(({ attempt }) => attempt === 1)).toBe(true);
});

it('a killed process gives its places back with its lease, and its tasks come first', async () => {
  const env = { CONCURRENCY: '2', FLEET: '2' };
  await fill(env);
  const ids = await bed.operator.queue.publishMany('tasks', [
    ...new Array<Work>(2).fill({ hangs: true }),
    ...new Array<Work>(3).fill({ ms: 1 }),
  ]);
  await until(async () => (await bed.operator.queue.counts('tasks')).running === 2, { what: 'both places are taken' });
  expect(readLedger(bed.ledger)).toEqual([]);
  await Promise.all(bed.workers.splice(0).map((worker) => worker.kill()));
  await fill(env);
  await until(done, { what: 'all are done' });
  expect(mostAtOnce()).toBe(2);
  expect(
    readLedger(bed.ledger)
      .map(({ id }) => id)
      .sort(),
  ).toEqual([...ids].sort());
});
