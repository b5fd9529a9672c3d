import { describe, expect, it } from '@jest/globals';
import { gate } from '../../../../test/support/gate.js';
import { batchModule } from '../../../../test/support/batch-handler.js';
import type { QueueApp } from '../../../../test/support/queue-app.js';
import { QueueBed } from '../../../../test/support/queue-bed.js';
import { until } from '../../../../test/support/until.js';
import { DeadLetterTask, type BatchHandlerOptions, type SluiceQueueModuleOptions, type Task } from '../../index.js';

/** Longer than any test. */
const LONG_MS = 3_600_000;

const bed = new QueueBed();
const start = (
  options: BatchHandlerOptions,
  run: (tasks: readonly Task[]) => unknown,
  queue: SluiceQueueModuleOptions = {},
): Promise<QueueApp> => bed.start({ imports: [batchModule('tasks', options, run)], queue });
const producer = (): Promise<QueueApp> => bed.start({ queue: { consumers: false } });
const numbers = (count: number): number[] => [...new Array(count).keys()];
const payloads = (tasks: readonly Task[]): unknown[] => tasks.map(({ payload }) => payload);

describe('a handler with batches', () => {
  it('gets all tasks, in order, at most max at once', async () => {
    const batches: unknown[][] = [];
    const { queue } = await producer();
    await queue.publishMany('tasks', numbers(25));
    await start({ batch: { max: 10 }, concurrency: 1 }, (tasks) => void batches.push(payloads(tasks)));
    await bed.untilSettled();
    expect(batches.flat()).toEqual(numbers(25));
    expect(batches[0]).toHaveLength(10);
    expect(Math.max(...batches.map(({ length }) => length))).toBe(10);
    expect(await bed.books.letters()).toEqual([]);
  });

  it('gets an array of its own, which it may change', async () => {
    const { queue } = await start({ batch: { max: 2, waitMs: LONG_MS } }, (tasks) => {
      (tasks as Task[]).reverse();
      for (const task of tasks) if (task.payload === 1) task.fail(new DeadLetterTask('the first one'));
    });
    await queue.publishMany('tasks', [1, 2]);
    await until(async () => (await bed.books.letters()).length > 0, { what: 'one is a dead letter' });
    await bed.untilSettled();
    expect(await bed.books.letters()).toMatchObject([{ payload: '1' }]);
  });

  it('without waitMs runs at once with what is there', async () => {
    const batches: unknown[][] = [];
    const { queue } = await start({ batch: { max: 1_000 } }, (tasks) => void batches.push(payloads(tasks)));
    await queue.publish('tasks', 1);
    await bed.untilSettled();
    await queue.publish('tasks', 2);
    await bed.untilSettled();
    expect(batches).toEqual([[1], [2]]);
  });

  it('has as many batches as its concurrency, and no more tasks than fit into them', async () => {
    const { opened, open } = gate();
    const batches: unknown[][] = [];
    const { queue } = await producer();
    await queue.publishMany('tasks', numbers(20));
    await start({ batch: { max: 4 }, concurrency: 2 }, async (tasks) => {
      batches.push(payloads(tasks));
      await opened;
    });
    await until(() => batches.length === 2, { what: 'two batches run' });
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 12, running: 8 });
    expect(batches).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ]);
    open();
    await bed.untilSettled();
    expect(batches.flat().length).toBe(20);
  });

  it('of which each is small still has no more of them than its concurrency', async () => {
    const { opened, open } = gate();
    const batches: unknown[][] = [];
    const { queue } = await start({ batch: { max: 100 }, concurrency: 2 }, async (tasks) => {
      batches.push(payloads(tasks));
      await opened;
    });
    for (const n of [1, 2]) {
      await queue.publish('tasks', n);
      await until(() => batches.length === n, { what: `batch ${n} runs` });
    }
    const late = await queue.publishMany('tasks', [3, 4]);
    // Both places are taken, so nobody has them, and another process may.
    expect(await queue.inspect('tasks', late[0]!)).toMatchObject({ state: 'waiting' });
    expect(batches).toEqual([[1], [2]]);
    open();
    await bed.untilSettled();
    expect(batches.flat().sort()).toEqual([1, 2, 3, 4]);
  });
});

describe('tasks that wait for a fuller batch', () => {
  it('run as soon as it is full', async () => {
    const batches: unknown[][] = [];
    const { queue } = await start(
      { batch: { max: 3, waitMs: LONG_MS } },
      (tasks) => void batches.push(payloads(tasks)),
    );
    for (const n of [1, 2, 3]) await queue.publish('tasks', n);
    await until(() => batches.length > 0, { what: 'it ran' });
    expect(batches).toEqual([[1, 2, 3]]);
  });

  it('run when their time is over', async () => {
    const batches: unknown[][] = [];
    const { queue } = await start({ batch: { max: 1_000, waitMs: 30 } }, (tasks) => void batches.push(payloads(tasks)));
    await queue.publishMany('tasks', [1, 2]);
    await bed.untilSettled();
    expect(batches.flat()).toEqual([1, 2]);
  });

  it('take no place: a full batch passes them by in another name or group, and here they are of the next one', async () => {
    const batches: unknown[][] = [];
    const options = { batch: { max: 2, waitMs: LONG_MS }, concurrency: 1 };
    const { queue } = await start(options, (tasks) => void batches.push(payloads(tasks)));
    for (const n of [1, 2, 3, 4, 5]) await queue.publish('tasks', n);
    await until(() => batches.length === 2, { what: 'two batches ran' });
    expect(batches).toEqual([
      [1, 2],
      [3, 4],
    ]);
    await until(async () => (await queue.counts('tasks')).running === 1, { what: 'the fifth waits here' });
  });

  it('are returned when the app stops, and no attempt or delivery is counted', async () => {
    const { app, queue } = await start({ batch: { max: 10, waitMs: LONG_MS } }, () => {});
    await queue.publishMany('tasks', [1, 2]);
    await until(async () => (await queue.counts('tasks')).running === 2, { what: 'they wait in the process' });
    await app.close();
    const seen: Task[] = [];
    await start({ batch: { max: 10 } }, (tasks) => void seen.push(...tasks));
    await bed.untilSettled();
    expect(seen).toMatchObject([
      { payload: 1, attempt: 1, deliveries: 1 },
      { payload: 2, attempt: 1, deliveries: 1 },
    ]);
  });

  it('are returned when the queue is paused', async () => {
    let runs = 0;
    const { queue } = await start({ batch: { max: 10, waitMs: LONG_MS } }, () => {
      runs++;
    });
    await queue.publishMany('tasks', [1, 2]);
    await until(async () => (await queue.counts('tasks')).running === 2, { what: 'they wait in the process' });
    await queue.pause('tasks', { wait: true });
    await until(async () => (await queue.counts('tasks')).waiting === 2, { what: 'they are back' });
    expect(runs).toBe(0);
  });

  it('are not returned as a surplus while a process idles, however long they wait', async () => {
    const batches: unknown[][] = [];
    const waits = { batch: { max: 3, waitMs: LONG_MS } };
    const { queue } = await start(waits, (tasks) => void batches.push(payloads(tasks)), { leaseMs: 300 });
    await queue.publishMany('tasks', [1, 2]);
    await until(async () => (await queue.counts('tasks')).running === 2, { what: 'they wait in the process' });
    const since = performance.now();
    // A surplus is returned after a second, by maintenance that comes once per lease. Whoever takes it then begins to count again.
    await until(() => performance.now() - since > 2_500, { what: 'a surplus would be gone' });
    const [[, , idleMs]] = (await bed.admin.xpending('tasks', 'sluice', '-', '+', 10)) as [[string, string, number]];
    expect(idleMs).toBeGreaterThan(2_000);
    await queue.publish('tasks', 3);
    await until(() => batches.length > 0, { what: 'it ran' });
    expect(batches).toEqual([[1, 2, 3]]);
  });

  it('can be cancelled, and are then dropped', async () => {
    const batches: unknown[][] = [];
    const { queue } = await start(
      { batch: { max: 3, waitMs: LONG_MS } },
      (tasks) => void batches.push(payloads(tasks)),
    );
    const [first = ''] = await queue.publishMany('tasks', [1, 2]);
    await until(async () => (await queue.counts('tasks')).running === 2, { what: 'they wait in the process' });
    await queue.cancel('tasks', first);
    await until(async () => (await queue.counts('tasks')).running === 1, { what: 'it is dropped' });
    await queue.publishMany('tasks', [3, 4]);
    await until(() => batches.length > 0, { what: 'it ran' });
    expect(batches).toEqual([[2, 3, 4]]);
  });
});
