import { expect } from '@jest/globals';
import type { QueueService, Task } from 'nestjs-sluice/queue';
import { noted, works, type Row } from './combination.js';
import { A, AFTER, B, Files, LONG_MS, type CombinationKit } from './combination.kit.js';
import { BATCH } from './batch.rows.js';
import { FAILING, failuresOf, THEN } from './ends.rows.js';
import { COLLECT, DUE, REPLACE, SKIP, outcomesOf } from './keys.rows.js';
import { FLEET, RATE, most } from './limits.rows.js';
import { runSchedule } from './times.rows.js';
import { twoGroups } from './groups.rows.js';

/** What is published while the queue is paused runs when it is resumed. */
async function runsLater(
  kit: CombinationKit,
  publish: (queue: QueueService) => Promise<unknown>,
  ...payloads: unknown[]
): Promise<void> {
  const queue = await kit.start();
  await queue.pause('tasks');
  await publish(queue);
  await kit.untilCounts(queue, { paused: true, running: 0, waiting: payloads.length });
  expect(kit.ran).toEqual([]);
  await queue.resume('tasks');
  await kit.untilRan(...payloads);
}

export const pauseRow: Row = {
  feature: 'pause',
  with: {
    'named tasks': works(async (kit) => {
      const queue = await kit.on(A).on(B).start();
      await queue.pause(A);
      await queue.publish(A, 'a');
      await queue.publish(B, 'b');
      await kit.untilRan('b');
      await queue.resume(Files);
      await kit.untilRan('a', 'b');
    }),
    'publishUnique skip': works(async (kit) => {
      const publish = async (queue: QueueService): Promise<void> => {
        const one = () => queue.publishUnique('tasks', 1, SKIP);
        expect(await outcomesOf(one, one)).toEqual(['published', 'skipped']);
      };
      await runsLater(kit.on('tasks'), publish, 1);
    }),
    'publishUnique replace': works(async (kit) => {
      const publish = async (queue: QueueService): Promise<void> => {
        await queue.publishUnique('tasks', 1, REPLACE);
        await queue.publishUnique('tasks', 2, REPLACE);
      };
      await runsLater(kit.on('tasks'), publish, 2);
    }),
    'publishUnique debounce': noted(async (kit) => {
      const publish = async (queue: QueueService): Promise<void> => {
        await queue.publishUnique('tasks', 1, DUE);
        await kit.untilCounts(queue, { waiting: 1 });
        expect((await queue.publishUnique('tasks', 2, DUE)).outcome).toBe('published');
      };
      await runsLater(kit.on('tasks'), publish, 1, 2);
    }),
    collect: noted(async (kit) => {
      const publish = async (queue: QueueService): Promise<void> => {
        for (const n of [1, 2]) await queue.collect('tasks', n, { ...COLLECT, max: 1 });
      };
      await runsLater(kit.on('tasks'), publish, [1], [2]);
    }),
    delays: works((kit) => runsLater(kit.on('tasks'), (queue) => queue.publish('tasks', 1, { delayMs: 5 }), 1)),
    schedules: works((kit) => runsLater(kit.on('tasks'), (queue) => runSchedule(queue, 'due'), 'due')),
    'concurrency.fleet': works(async (kit) => {
      const queue = await kit.on('tasks', { ...FLEET, run: kit.hold }).start();
      await queue.publishMany('tasks', [1, 2]);
      await kit.untilRan(1);
      await queue.pause('tasks');
      kit.open();
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
      await queue.resume('tasks');
      await kit.untilRan(1, 2);
    }),
    rateLimit: works((kit) => runsLater(kit.on('tasks', RATE), (queue) => queue.publish('tasks', 1), 1)),
    maxLength: noted(async (kit) => {
      const queue = await kit.on('tasks').start(most(1));
      await queue.pause('tasks');
      await queue.publish('tasks', 1);
      await expect(queue.publish('tasks', 2)).rejects.toMatchObject({ code: 'SLUICE_QUEUE_FULL' });
    }),
    deadLetterTo: works(async (kit) => {
      const run = async (task: Task<never>): Promise<void> => {
        await kit.hold(task);
        throw new Error('no');
      };
      const queue = await kit
        .on('tasks', { ...FAILING, run })
        .on(AFTER)
        .start();
      await queue.publish('tasks', 1);
      await kit.untilRan(1);
      await queue.pause('tasks');
      kit.open();
      expect(await failuresOf(kit, 1)).toMatchObject([{ payload: 1 }]);
    }),
    whenAllSettled: works(async (kit) => {
      const queue = await kit.on('tasks').on(AFTER).start();
      await queue.pause('tasks');
      await queue.publishMany('tasks', [1, 2], THEN);
      await queue.resume('tasks');
      expect(await kit.ranOn(AFTER, 1)).toMatchObject([{ counts: { completed: 2 } }]);
    }),
    publishAndWait: noted(async (kit) => {
      const queue = await kit.on('tasks').start();
      await queue.pause('tasks');
      const late = queue.publishAndWait('tasks', 1, { timeoutMs: 5 });
      await expect(late).rejects.toMatchObject({ code: 'SLUICE_TASK_WAIT_TIMEOUT' });
      const result = queue.publishAndWait('tasks', 2, { timeoutMs: LONG_MS });
      await queue.resume('tasks');
      expect(await result).toBe(2);
      await kit.untilRan(1, 2);
    }),
    batch: noted(async (kit) => {
      const queue = await kit.on('tasks', BATCH).start();
      await queue.publish('tasks', 1);
      await kit.untilCounts(queue, { running: 1 });
      await queue.pause('tasks');
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
      await queue.publish('tasks', 2);
      await queue.resume('tasks');
      await kit.untilRan([1, 2]);
    }),
    cancel: works(async (kit) => {
      const queue = await kit.on('tasks').start();
      await queue.pause('tasks');
      expect(await queue.cancel('tasks', await queue.publish('tasks', 1))).toBe('removed');
    }),
    'several groups': works(async (kit) => {
      const queue = await twoGroups(kit).start();
      await queue.pause('tasks');
      await queue.publish('tasks', 1);
      await kit.untilCounts(queue, { waiting: 1 });
      expect(kit.ran).toEqual([]);
      await queue.resume('tasks');
      await kit.untilRan(1, 1);
    }),
  },
};
