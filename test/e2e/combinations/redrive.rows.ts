import { expect } from '@jest/globals';
import type { QueueService } from 'nestjs-sluice/queue';
import { noted, works, type Row } from './combination.js';
import { A, AFTER, B, Files, LONG_MS, type CombinationKit, type Handled, type Run } from './combination.kit.js';
import { BATCH } from './batch.rows.js';
import { failuresOf } from './ends.rows.js';
import { DUE, REPLACE, SKIP, collectTwo, outcomesOf } from './keys.rows.js';
import { most } from './limits.rows.js';
import { runSchedule } from './times.rows.js';

/** Fails until {@link CombinationKit.fix}; then it lasts until {@link CombinationKit.open}. */
const thenHeld =
  (kit: CombinationKit): Run =>
  async (task) => {
    await kit.failing(task);
    await kit.hold(task);
  };

/** One dead letter of what `publish` publishes. */
async function died(
  kit: CombinationKit,
  publish: (queue: QueueService) => Promise<unknown>,
  { handled = {}, count = 1, queueOptions = {} }: { handled?: Handled; count?: number; queueOptions?: object } = {},
): Promise<QueueService> {
  const queue = await kit.on('tasks', { maxAttempts: 1, run: kit.failing, ...handled }).start(queueOptions);
  await publish(queue);
  await kit.untilCounts(queue, { dead: count, running: 0 });
  kit.ran.length = 0;
  kit.fix();
  return queue;
}

/** What died runs again, with the same payload. */
async function runsAgain(
  kit: CombinationKit,
  publish: (queue: QueueService) => Promise<unknown>,
  payload: unknown = 1,
  handled: Handled = {},
): Promise<void> {
  const queue = await died(kit, publish, { handled });
  expect(await queue.dead('tasks').redrive()).toBe(1);
  await kit.untilRan(payload);
  await kit.untilDone(queue);
}

export const redriveRow: Row = {
  feature: 'redrive',
  with: {
    'named tasks': works(async (kit) => {
      const queue = await kit.on(Files, { maxAttempts: 1, run: kit.failing }).start();
      await queue.publish(A, 'a');
      await queue.publish(B, 'b');
      await kit.untilCounts(queue, { dead: 2 }, Files);
      kit.fix();
      await queue.dead(Files).redrive({ filter: ({ name }) => name === 'a' });
      await kit.untilRan('a', 'b', 'a');
    }),
    'publishUnique skip': noted(async (kit) => {
      const queue = await died(kit, (given) => given.publishUnique('tasks', 1, SKIP), {
        handled: { run: thenHeld(kit) },
      });
      await queue.dead('tasks').redrive();
      const publish = (): ReturnType<QueueService['publishUnique']> => queue.publishUnique('tasks', 2, SKIP);
      expect(await outcomesOf(publish)).toEqual(['skipped']);
      kit.open();
      await kit.untilDone(queue);
      expect(await outcomesOf(publish)).toEqual(['published']);
    }),
    'publishUnique replace': noted(async (kit) => {
      const queue = await died(kit, (given) => given.publishUnique('tasks', 1, REPLACE));
      await queue.pause('tasks');
      await queue.dead('tasks').redrive();
      expect(await outcomesOf(() => queue.publishUnique('tasks', 2, REPLACE))).toEqual(['replaced']);
      await queue.resume('tasks');
      await kit.untilRan(2);
    }),
    'publishUnique debounce': works((kit) => runsAgain(kit, (queue) => queue.publishUnique('tasks', 1, DUE))),
    collect: works((kit) => runsAgain(kit, collectTwo, [1, 2])),
    delays: works((kit) => runsAgain(kit, (queue) => queue.publish('tasks', 1, { delayMs: 5 }))),
    schedules: works(async (kit) => {
      await runsAgain(kit, (queue) => runSchedule(queue, 'due'), 'due');
      expect(new Set(kit.tasks.map(({ id }) => id)).size).toBe(1);
    }),
    'concurrency.fleet': works((kit) =>
      runsAgain(kit, (queue) => queue.publish('tasks', 1), 1, { concurrency: { fleet: 1 } }),
    ),
    rateLimit: noted(async (kit) => {
      const handled = { rateLimit: { limit: 1, perMs: LONG_MS } };
      const queue = await died(kit, (given) => given.publish('tasks', 1), { handled });
      await queue.dead('tasks').redrive();
      await kit.untilCounts(queue, { waiting: 1, dead: 0 });
      expect(kit.ran).toEqual([]);
    }),
    maxLength: noted(async (kit) => {
      const publish = (queue: QueueService): Promise<string> => queue.publish('tasks', 1);
      const queue = await died(kit, publish, { handled: { run: thenHeld(kit) }, queueOptions: most(1) });
      await queue.publish('tasks', 2);
      await queue.dead('tasks').redrive();
      await kit.untilRan(1, 2);
      await expect(queue.publish('tasks', 3)).rejects.toMatchObject({ code: 'SLUICE_QUEUE_FULL' });
    }),
    deadLetterTo: noted(async (kit) => {
      const run: Run = ({ stream }) => {
        if (stream === 'tasks') throw new Error('no');
      };
      kit.on(AFTER);
      const handled = { run, deadLetterTo: AFTER };
      const queue = await died(kit, (given) => given.publish('tasks', 1), { handled });
      await failuresOf(kit, 1);
      await queue.dead('tasks').redrive();
      expect(await failuresOf(kit, 2)).toMatchObject([{ payload: 1 }, { payload: 1 }]);
    }),
    whenAllSettled: noted(async (kit) => {
      kit.on(AFTER);
      const options = { whenAllSettled: { queue: AFTER, payload: 'all' } };
      const queue = await died(kit, (given) => given.publishMany('tasks', [1], options));
      expect(await kit.ranOn(AFTER, 1)).toMatchObject([{ counts: { failed: 1 } }]);
      await queue.dead('tasks').redrive();
      await kit.ranOn('tasks', 2);
      await kit.untilDone(queue);
      expect(await kit.ranOn(AFTER, 1)).toHaveLength(1);
    }),
    publishAndWait: noted(async (kit) => {
      await runsAgain(kit, async (queue) => {
        const result = queue.publishAndWait('tasks', 1, { timeoutMs: LONG_MS });
        await expect(result).rejects.toMatchObject({ code: 'SLUICE_TASK_FAILED' });
      });
    }),
    batch: works(async (kit) => {
      const publish = (queue: QueueService): Promise<unknown> => queue.publishMany('tasks', [1, 2]);
      const queue = await died(kit, publish, { handled: BATCH, count: 2 });
      await queue.dead('tasks').redrive();
      await kit.untilRan([1, 2]);
    }),
    cancel: works(async (kit) => {
      const queue = await died(kit, (given) => given.publish('tasks', 1), { handled: { run: thenHeld(kit) } });
      const { id } = kit.tasks[0]!;
      expect(await queue.cancel('tasks', id)).toBe('not-found');
      await queue.dead('tasks').redrive();
      await kit.untilRan(1);
      expect(await queue.cancel('tasks', id)).toBe('aborting');
      await kit.untilDone(queue);
    }),
    'several groups': noted(async (kit) => {
      kit.on('tasks', { group: 'two' });
      const queue = await died(kit, (given) => given.publish('tasks', 1), { handled: { group: 'one' } });
      await kit.ranOn('tasks', 2);
      kit.ran.length = 0;
      await queue.dead('tasks').redrive();
      await kit.untilRan(1);
      await kit.untilDone(queue);
      expect(kit.ran).toEqual([1]);
    }),
    pause: works(async (kit) => {
      const queue = await died(kit, (given) => given.publish('tasks', 1));
      await queue.pause('tasks');
      await queue.dead('tasks').redrive();
      await kit.untilCounts(queue, { waiting: 1, dead: 0 });
      expect(kit.ran).toEqual([]);
      await queue.resume('tasks');
      await kit.untilRan(1);
    }),
  },
};
