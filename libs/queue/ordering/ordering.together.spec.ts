import { describe, expect, it } from '@jest/globals';
import { OrderedBed, OrderedRuns, Ordered, inTurn, type Keyed } from '../../../test/support/ordered-bed.js';
import { until } from '../../../test/support/until.js';
import { DeadLetterTask, defineQueue, type QueueDefinition, type Task } from '../index.js';

const bed = new OrderedBed();
const numbers = (count: number): number[] => [...new Array<number>(count).keys()];
const keysOf = (count: number): string[] => numbers(count).map((i) => `k${i}`);
const asNever = (definition: unknown): QueueDefinition<never, unknown> => definition as QueueDefinition<never, unknown>;

describe('an ordered queue with', () => {
  it('concurrency.fleet and rateLimit: a task needs its key, and room', async () => {
    const runs = new OrderedRuns();
    let most = 0;
    runs.body = async () => {
      most = Math.max(most, runs.running);
      await new Promise((resolve) => setTimeout(resolve, 2));
    };
    const limits = { concurrency: { process: 5, fleet: 3 }, rateLimit: { limit: 40, perMs: 100 } };
    const { queue } = await bed.startOrdered(runs, limits);
    await bed.startOrdered(runs, limits);
    await queue.publishMany(Ordered, inTurn(keysOf(8), 10));
    await bed.untilSettled();
    expect(runs.broken).toEqual([]);
    expect(runs.started).toHaveLength(80);
    expect(most).toBeLessThanOrEqual(3);
    expect(await bed.left()).toEqual([]);
  });

  it('rateLimit: also the next task of a key waits for its start', async () => {
    const runs = new OrderedRuns();
    const starts: number[] = [];
    runs.body = () => void starts.push(performance.now());
    const { queue } = await bed.startOrdered(runs, { rateLimit: { limit: 2, perMs: 100 } });
    await queue.publishMany(Ordered, inTurn(['a'], 8));
    await bed.untilSettled();
    // From each start to the second one after it.
    const gaps = starts.slice(2).map((at, i) => at - starts[i]!);
    expect(gaps).toHaveLength(6);
    // But for the granularity of clocks.
    expect(Math.min(...gaps)).toBeGreaterThan(98);
  });

  it('a batch: it has at most one task of a key', async () => {
    const batches: Keyed[][] = [];
    const handler = {
      run: (tasks: unknown) => {
        batches.push((tasks as Task<Keyed>[]).map(({ payload }) => payload));
      },
      options: { batch: { max: 10, waitMs: 20 } } as object,
      definition: asNever(Ordered),
    };
    const { queue } = await bed.start({ handlers: { tasks: handler } });
    await queue.publishMany(Ordered, inTurn(keysOf(4), 6));
    await bed.untilSettled();
    for (const batch of batches) expect(new Set(batch.map(({ key }) => key)).size).toBe(batch.length);
    for (const key of keysOf(4)) {
      expect(batches.flat().flatMap((each) => (each.key === key ? [each.n] : []))).toEqual(numbers(6));
    }
    expect(Math.max(...batches.map(({ length }) => length))).toBeGreaterThan(1);
  });

  it('publishAndWait: the result comes with the end, and the next task of the key begins', async () => {
    const runs = new OrderedRuns();
    runs.body = ({ payload: { n } }) => {
      if (n === 1) throw new DeadLetterTask('no');
      return n * 2;
    };
    const { queue } = await bed.startOrdered(runs);
    const [first, second, third] = await Promise.allSettled(
      [0, 1, 2].map((n) => queue.publishAndWait(Ordered, { key: 'a', n })),
    );
    expect(first).toMatchObject({ status: 'fulfilled', value: 0 });
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'SLUICE_TASK_FAILED' } });
    expect(third).toMatchObject({ status: 'fulfilled', value: 4 });
    expect(runs.broken).toEqual([]);
    expect(await bed.left()).toEqual([]);
  });

  it('whenAllSettled and delays: each member counts once', async () => {
    const runs = new OrderedRuns();
    runs.body = ({ payload: { n } }) => {
      if (n === 2) throw new DeadLetterTask('no');
    };
    const settled: unknown[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: { run: runs.handler, definition: asNever(Ordered) },
        '{tasks}.done': ({ payload }) => settled.push(payload),
      },
    });
    const whenAllSettled = { queue: '{tasks}.done', payload: 'all' };
    await queue.publishMany(Ordered, inTurn(['a', 'b'], 4), { delayMs: 50, whenAllSettled });
    await until(() => settled.length === 1, { what: 'the task that follows' });
    expect(settled).toEqual([{ payload: 'all', counts: { total: 8, completed: 6, failed: 2, removed: 0 } }]);
    expect(runs.broken).toEqual([]);
  });

  it('maxLength: the keys are sent along', async () => {
    const Short = defineQueue<Keyed>('tasks', { orderingKey: ({ key }) => key, maxLength: { limit: 12 } });
    const runs = new OrderedRuns();
    const { queue } = await bed.startOrdered(runs, {}, { definition: Short });
    await queue.publishMany(Short, inTurn(['a', 'b'], 5));
    await queue.publish(Short, { key: 'a', n: 5 }, { delayMs: 30 });
    await until(() => runs.started.length === 11, { what: 'all are done' });
    expect(runs.broken).toEqual([]);
    expect(runs.of('a')).toEqual(numbers(6));
  });

  it('several groups: each has an order of its own, through failures', async () => {
    const groups = ['one', 'two'].map((group) => ({ group, runs: new OrderedRuns() }));
    const apps = [];
    for (const { group, runs } of groups) {
      runs.body = ({ payload: { n }, attempt }) => {
        if (n === 1 && attempt < 3 && group === 'one') throw new Error('as asked');
      };
      apps.push(await bed.startOrdered(runs, { group, backoff: 20 }, { queue: { leaseMs: 300 } }));
    }
    await apps[0]!.queue.publishMany(Ordered, inTurn(keysOf(3), 5));
    for (const { runs } of groups) {
      await until(() => keysOf(3).every((key) => runs.of(key).at(-1) === 4), { what: 'all are done' });
      expect(runs.broken).toEqual([]);
    }
    expect(groups[0]!.runs.of('k0')).toEqual([0, 1, 1, 1, 2, 3, 4]);
    expect(groups[1]!.runs.of('k0')).toEqual(numbers(5));
    await until(async () => (await bed.left()).length === 0, { what: 'no gate is left' });
  });
});

describe('what waits for its key', () => {
  it('stays while the queue is paused, and can be removed, cancelled and purged', async () => {
    const runs = new OrderedRuns();
    runs.body = runs.hold;
    const { queue } = await bed.startOrdered(runs, {}, { queue: { leaseMs: 300 } });
    const ids = await queue.publishMany(Ordered, inTurn(['a'], 8));
    await until(async () => (await bed.parked())[0] === 7, { what: 'seven wait' });
    expect(await queue.inspect(Ordered, ids[3]!)).toMatchObject({ state: 'waiting' });
    expect(await queue.remove(Ordered, ids[1]!)).toBe(true);
    expect(await queue.cancel(Ordered, ids[2]!)).toBe('removed');
    await queue.pause(Ordered);
    runs.endOne();
    await until(() => runs.running === 0, { what: 'the first one ends' });
    await until(async () => (await queue.counts(Ordered)).running === 0, { what: 'nothing runs' });
    expect(await queue.counts(Ordered)).toMatchObject({ waiting: 5, running: 0 });
    expect(runs.of('a')).toEqual([0]);
    await queue.resume(Ordered);
    await until(() => runs.running === 1, { what: 'it goes on' });
    expect(runs.of('a')).toEqual([0, 3]);
    expect(await queue.purge(Ordered, 'waiting')).toBe(4);
    runs.body = () => {};
    runs.endAll();
    await bed.untilSettled();
    await until(async () => (await bed.left()).length === 0, { what: 'nothing is left' });
    await queue.publish(Ordered, { key: 'a', n: 9 });
    await until(() => runs.started.length === 3, { what: 'the key is free' });
  });

  it('goes on soon when the task that holds the key is removed while it is put off', async () => {
    const runs = new OrderedRuns();
    runs.body = ({ payload: { n } }) => {
      if (n === 0) throw new Error('as asked');
    };
    const { queue } = await bed.startOrdered(runs, { backoff: 3_600_000 }, { queue: { leaseMs: 200 } });
    const [id] = await queue.publishMany(Ordered, inTurn(['a'], 3));
    await until(async () => (await queue.counts(Ordered)).delayed === 1, { what: 'it is put off' });
    expect(await queue.remove(Ordered, id!)).toBe(true);
    await until(() => runs.started.length === 3, { what: 'the others run' });
    expect(runs.of('a')).toEqual([0, 1, 2]);
  });

  it('goes on soon when other software deletes the task that holds the key', async () => {
    const runs = new OrderedRuns();
    runs.body = ({ payload: { n } }) => {
      if (n === 0) throw new Error('as asked');
    };
    const { queue } = await bed.startOrdered(runs, { backoff: 3_600_000 }, { queue: { leaseMs: 200 } });
    await queue.publishMany(Ordered, inTurn(['a'], 3));
    await until(async () => (await queue.counts(Ordered)).delayed === 1, { what: 'it is put off' });
    await bed.admin.del('{tasks}:~delayed', '{tasks}:~bodies');
    await until(() => runs.started.length === 3, { what: 'the others run' });
    expect(runs.of('a')).toEqual([0, 1, 2]);
  });

  it('goes to another process when its own one stops', async () => {
    const runs = new OrderedRuns();
    runs.body = () => new Promise((resolve) => setTimeout(resolve, 5));
    const first = await bed.startOrdered(runs, { concurrency: 3 });
    await first.queue.publishMany(Ordered, inTurn(keysOf(5), 12));
    await until(() => runs.started.length > 10, { what: 'it runs' });
    const second = await bed.startOrdered(runs, { concurrency: 3 });
    await first.app.close();
    await bed.untilSettled();
    expect(runs.broken).toEqual([]);
    expect(runs.started).toHaveLength(60);
    expect(await second.queue.counts(Ordered)).toMatchObject({ waiting: 0, running: 0 });
  });
});
