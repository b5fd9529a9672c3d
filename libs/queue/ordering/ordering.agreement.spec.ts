import { describe, expect, it } from '@jest/globals';
import { OrderedBed, OrderedRuns, Ordered, inTurn } from '../../../test/support/ordered-bed.js';
import { until } from '../../../test/support/until.js';

const bed = new OrderedBed();
const LEASE = { queue: { leaseMs: 300 } };

describe('a handler without the order, on an ordered queue', () => {
  it('fails its boot, and says how to go on', async () => {
    const runs = new OrderedRuns();
    runs.body = runs.hold;
    const { queue } = await bed.startOrdered(runs, {}, LEASE);
    await queue.publishMany(Ordered, inTurn(['a'], 3));
    await until(() => runs.running === 1, { what: 'one runs' });
    await expect(bed.start({ handlers: { tasks: () => runs.broken.push('it ran') }, ...LEASE })).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
      message: expect.stringMatching(
        /^queue 'tasks' is ordered by key in Redis, and its handler Handlers\.tasks is not: give/,
      ),
    });
    runs.body = () => {};
    runs.endAll();
    await bed.untilSettled();
    expect(runs.broken).toEqual([]);
  });

  it('leaves the queue alone when an ordered one comes, which begins when no lease is left that knows no order', async () => {
    const runs = new OrderedRuns();
    const plain: number[] = [];
    const lines: string[] = [];
    // All apps of a process share Nest's logger.
    const logged = (_: string, message: string): number => lines.push(message);
    const old = await bed.start({
      handlers: { tasks: { run: ({ payload: { n } }: { payload: { n: number } }) => plain.push(n) } },
      logged,
      ...LEASE,
    });
    await old.queue.publish('tasks', { key: 'a', n: 0 });
    await until(() => plain.length === 1, { what: 'it runs' });
    const { queue } = await bed.startOrdered(runs, {}, { ...LEASE, logged });
    await until(() => old.queue.stats().leftAlone === 1, { what: 'the old one is told' });
    await queue.publishMany(Ordered, inTurn(['a', 'b'], 5));
    await until(() => runs.started.length === 10, { what: 'the new one runs them' });
    expect(plain).toEqual([0]);
    expect(runs.broken).toEqual([]);
    expect(lines.find((line) => line.includes('is left alone'))).toContain('orderingKey');
  });

  it('ends the order if nothing of it is left, and no other process works on the queue', async () => {
    const runs = new OrderedRuns();
    const first = await bed.startOrdered(runs, {}, LEASE);
    await first.queue.publishMany(Ordered, inTurn(['a'], 3));
    await bed.untilSettled();
    await first.app.close();
    const plain: number[] = [];
    const { queue } = await bed.start({ handlers: { tasks: ({ payload }) => plain.push(payload) }, ...LEASE });
    expect(await bed.admin.exists('{tasks}:~uses')).toBe(0);
    await queue.publish('tasks', 1);
    await until(() => plain.length === 1, { what: 'it runs' });
  });
});

it('an ordered queue goes on after Redis has lost everything', async () => {
  const runs = new OrderedRuns();
  const { queue } = await bed.startOrdered(runs, {}, LEASE);
  await queue.publishMany(Ordered, inTurn(['a', 'b'], 3));
  await until(() => runs.started.length === 6, { what: 'all are done' });
  await bed.admin.flushall();
  await queue.publishMany(
    Ordered,
    [3, 4, 5].flatMap((n) => ['a', 'b'].map((key) => ({ key, n }))),
  );
  await until(() => runs.started.length === 12, { what: 'it works again' });
  expect(runs.broken).toEqual([]);
  expect(await bed.admin.hexists('{tasks}:~uses', 'order')).toBe(1);
});
