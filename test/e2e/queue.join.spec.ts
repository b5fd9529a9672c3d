import { expect, it } from '@jest/globals';
import type { Worked } from '../apps/queue-worker.js';
import type { ForkedApp } from '../support/fork-app.js';
import { ForkedBed } from '../support/forked-bed.js';
import { until } from '../support/until.js';

const LONG_MS = 3_600_000;

const bed = new ForkedBed();
const start = (app: string): Promise<ForkedApp> => bed.fork({ LEASE_MS: '500', CONCURRENCY: '20' }, app);
const joined = async (): Promise<number> => {
  const [key] = await bed.admin.keys('*~waiters:*');
  return key === undefined ? 0 : bed.admin.hlen(key);
};

it('the caller that published is killed, then the worker: the others have the result of the second delivery', async () => {
  const callers = await Promise.all([1, 2, 3].map(() => start('result-caller')));
  const ended: Partial<Worked>[] = [];
  for (const [i, caller] of callers.entries()) {
    caller.on('ended', (end: Partial<Worked>) => void ended.push(end));
    await caller.call('call', { hangs: true }, LONG_MS, 'k');
    await until(async () => (await joined()) === i + 1, { what: `${i + 1} wait` });
  }
  expect(await bed.admin.xlen('tasks')).toBe(1);
  await callers[0]!.kill();
  const first = await start('queue-worker');
  await until(async () => Number((await bed.admin.xpending('tasks', 'sluice'))[0]) === 1, { what: 'it runs' });
  await first.kill();
  const second = await start('queue-worker');
  await until(() => ended.length === 2, { what: 'the others have it' });
  expect(ended).toMatchObject([
    { pid: second.pid, deliveries: 2 },
    { pid: second.pid, deliveries: 2 },
  ]);
  await until(async () => (await joined()) === 0, { what: 'nobody is noted any more' });
});

it('calls with one key from three processes, while workers are killed: none is forgotten, and tasks are shared', async () => {
  const [a, b, c] = await Promise.all([1, 2, 3].map(() => start('result-caller')));
  let worker = await start('queue-worker');
  const callers = [a!, b!, c!];
  const failed = Promise.all(callers.map((caller) => caller.call('join', 'k', 40, 5, 240_000)));
  for (let i = 0; i < 3; i++) {
    await worker.kill();
    worker = await start('queue-worker');
  }
  expect(await failed).toEqual([0, 0, 0]);
  const info = (await bed.admin.xinfo('STREAM', 'tasks')) as unknown[];
  const added = Number(info[info.indexOf('entries-added') + 1]);
  // 600 calls.
  expect(added).toBeLessThan(600);
  await until(async () => (await joined()) === 0, { what: 'nobody is noted any more' });
});
