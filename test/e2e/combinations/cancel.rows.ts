import { expect } from '@jest/globals';
import type { QueueService, Task } from 'nestjs-sluice/queue';
import { noted, works, type Row } from './combination.js';
import { A, AFTER, B, Files, LONG_MS, type CombinationKit } from './combination.kit.js';
import { BATCH } from './batch.rows.js';
import { FAILING, THEN } from './ends.rows.js';
import { COLLECT, DEBOUNCE, REPLACE, SKIP } from './keys.rows.js';
import { FLEET, RATE, most } from './limits.rows.js';
import { runSchedule } from './times.rows.js';

const KEY = { key: 'k' };

/** Resolves when the signal of a task aborts. */
const aborted = ({ signal }: Task<never>): Promise<void> =>
  new Promise((resolve) => {
    signal.addEventListener('abort', () => {
      resolve();
    });
  });

/** Cancels, by its key, the task that waits, and publishes another one. */
async function cancelByKey(kit: CombinationKit, publish: (queue: QueueService) => Promise<unknown>): Promise<void> {
  const queue = await kit.start();
  await publish(queue);
  expect(await queue.cancel('tasks', KEY)).toBe('removed');
  expect(await queue.inspect('tasks', KEY)).toBeUndefined();
  await publish(queue);
  expect(await queue.inspect('tasks', KEY)).toBeDefined();
}

export const cancelRow: Row = {
  feature: 'cancel',
  with: {
    'named tasks': noted(async (kit) => {
      const queue = await kit.start();
      const id = await queue.publish(A, 1);
      expect(await queue.cancel(B, id)).toBe('not-found');
      expect(await queue.cancel(A, id)).toBe('removed');
      await expect(queue.cancel(Files as never, id)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    }),
    'publishUnique skip': works((kit) => cancelByKey(kit, (queue) => queue.publishUnique('tasks', 1, SKIP))),
    'publishUnique replace': works((kit) => cancelByKey(kit, (queue) => queue.publishUnique('tasks', 1, REPLACE))),
    'publishUnique debounce': works((kit) => cancelByKey(kit, (queue) => queue.publishUnique('tasks', 1, DEBOUNCE))),
    collect: works((kit) => cancelByKey(kit, (queue) => queue.collect('tasks', 1, COLLECT))),
    delays: works(async (kit) => {
      const queue = await kit.start();
      const id = await queue.publish('tasks', 1, { delayMs: LONG_MS });
      expect(await queue.cancel('tasks', id)).toBe('removed');
    }),
    schedules: works(async (kit) => {
      const queue = await kit.start();
      expect(await queue.cancel('tasks', await runSchedule(queue, 'due'))).toBe('removed');
      expect(await queue.schedules('tasks').list()).toHaveLength(1);
    }),
    'concurrency.fleet': works(async (kit) => {
      const queue = await kit.on('tasks', { ...FLEET, run: kit.hold }).start();
      const [id = ''] = await queue.publishMany('tasks', [1, 2]);
      await kit.untilRan(1);
      expect(await queue.cancel('tasks', id)).toBe('aborting');
      await kit.untilRan(1, 2);
    }),
    rateLimit: noted(async (kit) => {
      const queue = await kit.on('tasks', { ...RATE, run: kit.hold }).start();
      const [id = ''] = await queue.publishMany('tasks', [1, 2]);
      await kit.untilRan(1);
      expect(await queue.cancel('tasks', id)).toBe('aborting');
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
      await kit.untilRan(1);
    }),
    maxLength: works(async (kit) => {
      const queue = await kit.start(most(1));
      await queue.cancel('tasks', await queue.publish('tasks', 1));
      await queue.publish('tasks', 2);
    }),
    deadLetterTo: works(async (kit) => {
      const queue = await kit.on('tasks', { ...FAILING, run: kit.hold }).start();
      const id = await queue.publish('tasks', 1);
      await kit.untilRan(1);
      expect(await queue.cancel('tasks', id)).toBe('aborting');
      await kit.untilDone(queue);
      expect([await queue.counts('tasks'), await queue.counts(AFTER)]).toMatchObject([{ dead: 0 }, { waiting: 0 }]);
    }),
    whenAllSettled: works(async (kit) => {
      const queue = await kit.start();
      const [id = ''] = await queue.publishMany('tasks', [1, 2], THEN);
      await queue.cancel('tasks', id);
      await kit.on('tasks').on(AFTER).start();
      expect(await kit.ranOn(AFTER, 1)).toMatchObject([{ counts: { completed: 1, removed: 1 } }]);
    }),
    publishAndWait: noted(async (kit) => {
      const queue = await kit.on('tasks', { run: kit.hold, concurrency: 1 }).start();
      const result = queue.publishAndWait('tasks', 1, { timeoutMs: LONG_MS }).catch((error: unknown) => error);
      await kit.untilRan(1);
      await queue.cancel('tasks', kit.tasks[0]!.id);
      expect(await result).toMatchObject({ code: 'SLUICE_TASK_FAILED', how: 'cancelled' });
      await queue.pause('tasks');
      const removed = queue.publishAndWait('tasks', 2, { timeoutMs: 500 }).catch((error: unknown) => error);
      await kit.untilCounts(queue, { waiting: 1 });
      const { tasks } = await queue.list('tasks');
      expect(await queue.cancel('tasks', tasks[0]!.id)).toBe('removed');
      expect(await removed).toMatchObject({ code: 'SLUICE_TASK_WAIT_TIMEOUT' });
    }),
    batch: works(async (kit) => {
      const run = async (batch: unknown): Promise<void> => {
        const [first] = batch as Task<never>[];
        await aborted(first!);
        first!.fail(new Error('aborted'));
      };
      const queue = await kit.on('tasks', { ...BATCH, run }).start();
      const [id = ''] = await queue.publishMany('tasks', [1, 2]);
      await kit.untilRan([1, 2]);
      expect(await queue.cancel('tasks', id)).toBe('aborting');
      await kit.untilDone(queue);
      expect(queue.stats().cancelled).toBe(1);
      expect(await queue.counts('tasks')).toMatchObject({ dead: 0 });
    }),
  },
};
