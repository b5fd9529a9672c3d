import { expect, it } from '@jest/globals';
import { readdirSync } from 'node:fs';
import { ForkedBed } from '../support/forked-bed.js';
import { DEATHS, type NotedWork } from '../support/noted-work.js';
import { until } from '../support/until.js';

/** How many processes die. 200 were tried; that takes minutes. */
const KILLS = Number(process.env['SLUICE_KILLS'] ?? 18);

const bed = new ForkedBed();

/** What was done with acknowledgements: how often was counted, for which tasks, and what follows. */
async function done(): Promise<{ count: number; ids: string[]; next: string[] }> {
  const found = await bed.admin
    .multi()
    .get('{tasks}:count')
    .smembers('{tasks}:ids')
    .xrange('{tasks}.next', '-', '+')
    .exec();
  const [count, ids, next] = (found ?? []).map(([, value]) => value) as [string, string[], [string, string[]][]];
  const payloads = next.map(([, fields]) => JSON.parse(fields[1] ?? '') as string);
  return { count: Number(count), ids: ids.sort(), next: payloads.map((text) => text.replace('next of ', '')).sort() };
}
const left = async (): Promise<number> => {
  const { waiting, running } = await bed.operator.queue.counts('tasks');
  return waiting + running;
};

it('processes that are killed at every step: both the acknowledgement and what goes with it, or neither', async () => {
  const works: NotedWork[] = Array.from({ length: 2 * KILLS }, (_, i) =>
    i % 2 === 0 ? { dies: DEATHS[(i / 2) % DEATHS.length]! } : {},
  );
  const ids = await bed.operator.queue.publishMany('tasks', works);
  const over = new AbortController();
  const isOver = (): boolean => over.signal.aborted;
  /** Whoever dies is replaced. */
  const keepAlive = async (): Promise<void> => {
    while (!isOver()) {
      const worker = await bed.fork({ LEASE_MS: '300' }, 'commit-worker').catch((error: unknown) => {
        // A process may die before it has told that it is ready.
        if (!String(error).includes('ended with SIGKILL')) throw error;
      });
      if (isOver()) await worker?.kill();
      await worker?.once('its end').catch(() => {});
    }
  };
  const kept = Promise.all([keepAlive(), keepAlive(), keepAlive()]);
  // Between the deaths, what was acknowledged and what went with it are the same.
  const settled = until(
    async () => {
      const { count, ids: found, next } = await done();
      expect([found.length, next]).toEqual([count, found]);
      return (await left()) === 0;
    },
    { what: 'all are settled', deadlineMs: 600_000 },
  );
  await Promise.race([settled, kept]);
  over.abort();
  await Promise.all(bed.workers.map((worker) => worker.kill()));
  await kept;
  expect(await done()).toEqual({ count: ids.length, ids: [...ids].sort(), next: [...ids].sort() });
  // Each death has left its mark. A task that was acknowledged when another one killed the process first has none.
  const deaths = readdirSync(bed.dir).filter((name) => name.startsWith('ledger.'));
  expect(deaths.length).toBeGreaterThan(KILLS / 2);
  expect((await bed.operator.queue.counts('tasks')).dead).toBe(0);
}, 900_000);

it('a worker that is frozen and taken for dead writes nothing when it goes on: its task was done elsewhere', async () => {
  const env = { LEASE_MS: '500' };
  const first = await bed.fork(env, 'commit-worker');
  const started = first.once('started');
  const id = await bed.operator.queue.publish('tasks', { hangs: true } satisfies NotedWork);
  await started;
  first.pause();
  await bed.fork(env, 'commit-worker');
  await until(async () => (await left()) === 0, { what: 'another one has done it' });
  const once = { count: 1, ids: [id], next: [id] };
  expect(await done()).toEqual(once);
  first.resume();
  // It is told once Redis has answered its acknowledgement.
  const completed = first.once('completed');
  await first.call('finish');
  await completed;
  expect(await done()).toEqual(once);
});
