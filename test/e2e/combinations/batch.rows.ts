import { expect } from '@jest/globals';
import { DeadLetterTask, type QueueService, type Task } from 'nestjs-sluice/queue';
import { noted, refused, works, type Row } from './combination.js';
import { A, AFTER, B, Files, LONG_MS, type CombinationKit, type Handled, type Run } from './combination.kit.js';
import { failuresOf } from './ends.rows.js';
import { DUE, REPLACE, SKIP, collectTwo } from './keys.rows.js';
import { most } from './limits.rows.js';
import { runSchedule } from './times.rows.js';

/** Batches of two, which start when they are full. */
export const BATCH: Handled = { batch: { max: 2, waitMs: LONG_MS } };

/** What a handler of batches does with the first task of each. */
export const first =
  (run: (task: Task<never>) => unknown): Run =>
  (batch) =>
    run((batch as unknown as Task<never>[])[0]!);

/** Publishes so that one batch of two runs. */
async function batchOf(
  kit: CombinationKit,
  publish: (queue: QueueService) => Promise<unknown>,
  handled = BATCH,
): Promise<QueueService> {
  const queue = await kit.on('tasks', handled).start();
  await publish(queue);
  await kit.untilDone(queue);
  expect(kit.ran).toHaveLength(1);
  expect(kit.ran[0]).toHaveLength(2);
  return queue;
}

export const batchRow: Row = {
  feature: 'batch',
  with: {
    'named tasks': works(async (kit) => {
      const queue = await kit.on(Files, BATCH).start();
      for (const n of [1, 2]) {
        await queue.publish(A, `a${n}`);
        await queue.publish(B, `b${n}`);
      }
      await kit.untilRan(['a1', 'a2'], ['b1', 'b2']);
    }),
    'publishUnique skip': works(async (kit) => {
      const queue = await batchOf(kit, async (given) => {
        await given.publishUnique('tasks', 1, SKIP);
        expect((await given.publishUnique('tasks', 2, SKIP)).outcome).toBe('skipped');
        await given.publishUnique('tasks', 3, { key: 'other' });
      });
      expect((await queue.publishUnique('tasks', 4, SKIP)).outcome).toBe('published');
    }),
    'publishUnique replace': works(async (kit) => {
      const queue = await kit.start();
      await queue.publishUnique('tasks', 1, REPLACE);
      await queue.publishUnique('tasks', 2, REPLACE);
      await batchOf(kit, (given) => given.publish('tasks', 3));
      expect(kit.ran).toEqual([[2, 3]]);
    }),
    'publishUnique debounce': works(async (kit) => {
      await batchOf(kit, async (queue) => {
        await queue.publishUnique('tasks', 1, DUE);
        await queue.publish('tasks', 2);
      });
    }),
    collect: works(async (kit) => {
      await batchOf(kit, async (queue) => {
        await queue.publish('tasks', [0]);
        await collectTwo(queue);
      });
      expect(kit.ran).toEqual([[[0], [1, 2]]]);
    }),
    delays: works(async (kit) => {
      await batchOf(kit, (queue) => queue.publishMany('tasks', [1, 2], { delayMs: 5 }));
    }),
    schedules: works(async (kit) => {
      await batchOf(kit, async (queue) => {
        await runSchedule(queue, 'due');
        await queue.publish('tasks', 1);
      });
    }),
    'concurrency.fleet': refused('SLUICE_BAD_OPTION', (start, kit) => {
      kit.on('tasks', { ...BATCH, concurrency: { fleet: 1 } });
      return start();
    }),
    rateLimit: refused('SLUICE_BAD_OPTION', (start, kit) => {
      kit.on('tasks', BATCH);
      return start({ rateLimit: { limit: 1, perMs: 1_000 } });
    }),
    maxLength: noted(async (kit) => {
      const queue = await kit.on('tasks', BATCH).start(most(1));
      await queue.publish('tasks', 1);
      await kit.untilCounts(queue, { running: 1 });
      await expect(queue.publish('tasks', 2)).rejects.toMatchObject({ code: 'SLUICE_QUEUE_FULL' });
      expect(kit.ran).toEqual([]);
    }),
    deadLetterTo: works(async (kit) => {
      const run = first((task) => {
        task.fail(new DeadLetterTask('bad'));
      });
      const queue = await kit.on('tasks', { ...BATCH, deadLetterTo: AFTER, run }).start();
      kit.on(AFTER);
      await kit.start({ consumers: [AFTER] });
      await queue.publishMany('tasks', [1, 2]);
      expect(await failuresOf(kit, 1)).toMatchObject([{ payload: 1, reason: 'bad' }]);
      await kit.untilCounts(queue, { dead: 1, running: 0 });
    }),
    whenAllSettled: works(async (kit) => {
      kit.on(AFTER);
      const whenAllSettled = { queue: AFTER, payload: 'all' };
      const queue = await kit.on('tasks', BATCH).start();
      await queue.publishMany('tasks', [1, 2], { whenAllSettled });
      expect(await kit.ranOn(AFTER, 1)).toMatchObject([{ counts: { completed: 2 } }]);
    }),
    publishAndWait: noted(async (kit) => {
      const queue = await kit.on('tasks', BATCH).start();
      const result = queue.publishAndWait('tasks', 1, { timeoutMs: LONG_MS });
      await queue.publish('tasks', 2);
      await expect(result).rejects.toMatchObject({ code: 'SLUICE_TASK_BAD_RESULT' });
      await kit.untilRan([1, 2]);
    }),
  },
};
