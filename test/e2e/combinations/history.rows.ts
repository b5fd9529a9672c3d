import { expect } from '@jest/globals';
import { defineQueue, type QueueOfTasks, type QueueService } from 'nestjs-sluice/queue';
import { until } from '../../support/until.js';
import { noted, works, type Combination, type Row } from './combination.js';
import { A, AFTER, B, Files, LONG_MS, fail, type CombinationKit, type Handled } from './combination.kit.js';
import { BATCH } from './batch.rows.js';
import { FAILING, THEN, failuresOf } from './ends.rows.js';
import { FOLLOW } from './follow-up.rows.js';
import { twoGroups } from './groups.rows.js';
import { DUE, REPLACE, SKIP, collectTwo } from './keys.rows.js';
import { FLEET, RATE, most } from './limits.rows.js';
import { Ordered } from './order.rows.js';
import { PER_KEY } from './per-key.rows.js';
import { runSchedule } from './times.rows.js';

const KEPT = { completed: 10, failed: 10 };
const HISTORY = { queues: { tasks: { history: KEPT } } };
const KEPT_OF_FILES = { queues: { files: { history: KEPT } } };

/** Waits until so many records are there, and resolves to the payloads, in order of the ends. */
async function recorded(
  queue: Pick<QueueService, 'history'>,
  count: number,
  state: 'completed' | 'failed' = 'completed',
  of: string | QueueOfTasks = 'tasks',
): Promise<unknown[]> {
  const page = async (): Promise<unknown[]> =>
    (await queue.history(of as string, { state })).tasks.map(({ payload }) => payload);
  await until(async () => (await page()).length >= count, { what: `${count} are recorded as ${state}` });
  return (await page()).reverse();
}

/** Tasks with these payloads, which `publish` publishes, are done and recorded. */
const keeps = (
  publish: (queue: QueueService) => Promise<unknown>,
  payloads: unknown[],
  handled: Handled = {},
  options: object = {},
): Combination =>
  works(async (kit) => {
    const tasks = { ...(options as { queues?: { tasks: object } }).queues?.tasks, history: KEPT };
    const queue = await kit.on('tasks', handled).start({ ...options, queues: { tasks } });
    await publish(queue);
    expect(await recorded(queue, payloads.length)).toEqual(payloads);
    await kit.untilDone(queue);
    expect(await recorded(queue, 0, 'failed')).toEqual([]);
  });

/** What was published and changed during a pause. */
const paused = (publish: (queue: QueueService) => Promise<unknown>) => async (queue: QueueService) => {
  await queue.pause('tasks');
  await publish(queue);
  await queue.resume('tasks');
};

const failing = async (kit: CombinationKit, handled: Handled = {}): Promise<QueueService> =>
  kit.on('tasks', { maxAttempts: 1, run: fail, ...handled }).start(HISTORY);

export const historyRow: Row = {
  feature: 'history',
  with: {
    'named tasks': noted(async (kit) => {
      const queue = await kit.on(A).on(B).start(KEPT_OF_FILES);
      await queue.publish(A, 1);
      await queue.publish(B, 2);
      expect(await recorded(queue, 2, 'completed', Files)).toEqual([2, 1]);
      expect(await recorded(queue, 1, 'completed', A.name)).toEqual([1]);
    }),
    'publishUnique skip': keeps(
      paused(async (queue) => {
        for (const n of [1, 2]) await queue.publishUnique('tasks', n, SKIP);
      }),
      [1],
    ),
    'publishUnique replace': keeps(
      paused(async (queue) => {
        for (const n of [1, 2]) await queue.publishUnique('tasks', n, REPLACE);
      }),
      [2],
    ),
    'publishUnique debounce': keeps((queue) => queue.publishUnique('tasks', 1, DUE), [1]),
    collect: keeps(collectTwo, [[1, 2]]),
    delays: keeps((queue) => queue.publish('tasks', 1, { delayMs: 5 }), [1]),
    schedules: keeps((queue) => runSchedule(queue, 1), [1]),
    'concurrency.fleet': keeps((queue) => queue.publish('tasks', 1), [1], FLEET),
    rateLimit: keeps((queue) => queue.publish('tasks', 1), [1], RATE),
    maxLength: keeps((queue) => queue.publish('tasks', 1), [1], {}, most(1)),
    deadLetterTo: works(async (kit) => {
      const queue = await kit.on('tasks', FAILING).on(AFTER).start(HISTORY);
      await queue.publish('tasks', 1);
      expect(await failuresOf(kit, 1)).toMatchObject([{ payload: 1 }]);
      expect(await recorded(queue, 1, 'failed')).toEqual([1]);
    }),
    whenAllSettled: works(async (kit) => {
      const queue = await kit.on('tasks').on(AFTER).start(HISTORY);
      await queue.publishMany('tasks', [1, 2], THEN);
      expect(await kit.ranOn(AFTER, 1)).toMatchObject([{ counts: { completed: 2 } }]);
      expect(new Set(await recorded(queue, 2))).toEqual(new Set([1, 2]));
    }),
    publishAndWait: works(async (kit) => {
      const queue = await kit.on('tasks').start(HISTORY);
      expect(await queue.publishAndWait('tasks', 1, { timeoutMs: LONG_MS })).toBe(1);
      // Both are of one step.
      expect((await queue.history('tasks')).tasks).toMatchObject([{ payload: 1, result: 1 }]);
    }),
    batch: noted(async (kit) => {
      const queue = await kit.on('tasks', BATCH).start(HISTORY);
      await queue.publishMany('tasks', [1, 2]);
      expect(new Set(await recorded(queue, 2))).toEqual(new Set([1, 2]));
      for (const task of (await queue.history('tasks')).tasks) expect(task).not.toHaveProperty('result');
    }),
    cancel: noted(async (kit) => {
      const queue = await kit.on('tasks', { run: kit.hold }).start(HISTORY);
      const id = await queue.publish('tasks', 1);
      await kit.untilRan(1);
      expect(await queue.cancel('tasks', id)).toBe('aborting');
      await kit.untilDone(queue);
      expect([await recorded(queue, 0), await recorded(queue, 0, 'failed')]).toEqual([[], []]);
    }),
    'several groups': noted(async (kit) => {
      twoGroups(kit);
      const queue = await kit.start(HISTORY);
      await queue.publish('tasks', 1);
      expect(await recorded(queue, 2)).toEqual([1, 1]);
    }),
    pause: keeps(
      paused((queue) => queue.publish('tasks', 1)),
      [1],
    ),
    redrive: noted(async (kit) => {
      const queue = await failing(kit, { run: kit.failing });
      await queue.publish('tasks', 1);
      expect(await recorded(queue, 1, 'failed')).toEqual([1]);
      kit.fix();
      expect(await queue.dead('tasks').redrive()).toBe(1);
      expect(await recorded(queue, 1)).toEqual([1]);
      expect(await recorded(queue, 1, 'failed')).toEqual([1]);
    }),
    SluiceTestingModule: works(async (kit) => {
      const { queue } = await kit.on('tasks').testing(HISTORY);
      await queue.publishMany('tasks', [1, 2]);
      await queue.drain();
      expect(await recorded(queue, 2)).toEqual([1, 2]);
    }),
    Cluster: works(async (kit) => {
      const queue = await kit.on('tasks', { maxAttempts: 1, run: fail }).start(HISTORY, { onSlots: true });
      await queue.publish('tasks', 1);
      expect(await recorded(queue, 1, 'failed')).toEqual([1]);
    }),
    'publishUnique follow-up': works(async (kit) => {
      const queue = await kit.on('tasks', { run: kit.hold }).start(HISTORY);
      for (const n of [1, 2]) await queue.publishUnique('tasks', n, FOLLOW);
      kit.open();
      await kit.untilDone(queue);
      expect((await recorded(queue, 1)).at(-1)).toBe(2);
    }),
    priority: noted(async (kit) => {
      const Levelled = defineQueue<number>('tasks', { shares: true, history: KEPT });
      const queue = await kit.on(Levelled).start();
      await queue.publish(Levelled, 1, { priority: 'high' });
      await queue.publish(Levelled, 2, { priority: 'low' });
      expect(new Set(await recorded(queue, 2))).toEqual(new Set([1, 2]));
    }),
    orderingKey: works(async (kit) => {
      const queue = await kit.on(Ordered).start(HISTORY);
      await queue.publishMany(Ordered, ['a1', 'a2']);
      expect(await recorded(queue, 2)).toEqual(['a1', 'a2']);
    }),
    'concurrency.perKey': keeps((queue) => queue.publish('tasks', { c: 'a' }), [{ c: 'a' }], PER_KEY),
    'progress and events': works(async (kit) => {
      const run = (task: { progress(value: unknown): void }): void => {
        task.progress(50);
      };
      const queue = await kit.on('tasks', { run }).start(HISTORY);
      await queue.publish('tasks', 1);
      expect(await recorded(queue, 1)).toEqual([1]);
    }),
    'next and onAck': works(async (kit) => {
      const run = (task: { next(queue: string, payload: unknown): void }): void => {
        task.next(AFTER, 2);
      };
      const queue = await kit.on('tasks', { run }).start(HISTORY);
      await queue.publish('tasks', 1);
      expect(await recorded(queue, 1)).toEqual([1]);
      await kit.untilCounts(queue, { waiting: 1 }, AFTER);
    }),
  },
};
