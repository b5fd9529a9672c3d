import { expect, it } from '@jest/globals';
import type { Work, Worked } from '../apps/queue-worker.js';
import type { ForkedApp } from '../support/fork-app.js';
import { ForkedBed } from '../support/forked-bed.js';
import { until } from '../support/until.js';

const LONG_MS = 3_600_000;

const bed = new ForkedBed();
const worker = (): Promise<ForkedApp> => bed.fork({ LEASE_MS: '500', CONCURRENCY: '20' });
interface Caller {
  readonly app: ForkedApp;
  readonly ended: (Worked | { code?: string })[];
  call(work: Work, timeoutMs?: number): Promise<void>;
  untilEnded(count: number): Promise<unknown>;
}
async function caller(): Promise<Caller> {
  const app = await bed.fork({}, 'result-caller');
  const ended: Caller['ended'] = [];
  app.on('ended', (end: Worked) => void ended.push(end));
  return {
    app,
    ended,
    call: (work, timeoutMs = LONG_MS) => app.call('call', work, timeoutMs),
    untilEnded: (count) => until(() => ended.length >= count, { what: `${count} waits have ended` }),
  };
}
const running = async (): Promise<number> => {
  const groups = (await bed.admin.xinfo('GROUPS', 'tasks').catch(() => [])) as unknown[][];
  return Number(groups[0]?.[5] ?? 0);
};
const untilRunning = (count: number): Promise<unknown> =>
  until(async () => (await running()) === count, { what: `${count} tasks run` });
const kept = (): Promise<string[]> => bed.admin.keys('*~result:*');

it('a handler whose process is killed in the middle: the wait has the result of the second delivery', async () => {
  const [first, waiting] = await Promise.all([worker(), caller()]);
  for (let i = 0; i < 20; i++) await waiting.call({ hangs: i % 2 === 0, ms: 1 });
  await waiting.untilEnded(10);
  await untilRunning(10);
  await first.kill();
  const second = await worker();
  await waiting.untilEnded(20);
  expect(waiting.ended.map((end) => 'pid' in end && end.pid)).toEqual([
    ...new Array<number>(10).fill(first.pid),
    ...new Array<number>(10).fill(second.pid),
  ]);
  expect(waiting.ended.slice(10).every((end) => 'deliveries' in end && end.deliveries === 2)).toBe(true);
  await until(async () => (await kept()).length === 0, { what: 'nothing is kept' });
});

it('a publisher that is killed: its tasks run, and their results expire', async () => {
  const waiting = await caller();
  for (let i = 0; i < 10; i++) await waiting.call({}, 5_000);
  await until(async () => (await bed.admin.xlen('tasks')) === 10, { what: 'they are published' });
  await waiting.app.kill();
  await worker();
  await until(async () => (await bed.admin.xlen('tasks')) === 0, { what: 'all have run' });
  for (const key of await kept()) expect(await bed.admin.pttl(key)).toBeLessThanOrEqual(5_000);
  await until(async () => (await kept()).length === 0, { what: 'nothing is kept' });
});

it('a publisher that is frozen while its task ends has the result when it goes on', async () => {
  const waiting = await caller();
  await waiting.call({});
  await until(async () => (await bed.admin.xlen('tasks')) === 1, { what: 'it is published' });
  waiting.app.pause();
  const { pid } = await worker();
  await until(async () => (await bed.admin.xlen('tasks')) === 0, { what: 'it has run' });
  // What it was sent meanwhile is lost.
  await bed.admin.call('CLIENT', 'KILL', 'TYPE', 'PUBSUB');
  waiting.app.resume();
  await waiting.untilEnded(1);
  expect(waiting.ended).toMatchObject([{ pid }]);
});

it('a worker that is frozen and taken for dead: the wait has one result, that of the other one', async () => {
  const [first, waiting] = await Promise.all([worker(), caller()]);
  await waiting.call({ hangs: true });
  await untilRunning(1);
  first.pause();
  const second = await worker();
  await waiting.untilEnded(1);
  first.resume();
  await first.call('finish');
  await waiting.call({});
  await waiting.untilEnded(2);
  expect(waiting.ended[0]).toMatchObject({ pid: second.pid, deliveries: 2 });
  expect(waiting.ended).toHaveLength(2);
});
