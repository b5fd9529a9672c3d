import { expect } from '@jest/globals';
import type { QueueService } from 'nestjs-sluice/queue';
import { noted, refused, works, type Row } from './combination.js';
import { A, AFTER, B, Files, LONG_MS, type CombinationKit } from './combination.kit.js';
import { BATCH } from './batch.rows.js';
import { FAILING, failuresOf, THEN } from './ends.rows.js';
import { COLLECT, DUE, REPLACE, SKIP, outcomesOf } from './keys.rows.js';
import { FLEET, RATE, most } from './limits.rows.js';
import { runSchedule } from './times.rows.js';

/** Two groups on the queue: `one` with these options, `two` with the others. */
export function twoGroups(kit: CombinationKit, one: object = {}, two: object = {}): CombinationKit {
  return kit.on('tasks', { group: 'one', ...one }).on('tasks', { group: 'two', ...two });
}

/** Both groups get the task that `publish` publishes. */
async function bothGet(kit: CombinationKit, publish: (queue: QueueService) => Promise<unknown>): Promise<void> {
  const queue = await twoGroups(kit).start();
  await publish(queue);
  await kit.untilRan('x', 'x');
}

export const groupsRow: Row = {
  feature: 'several groups',
  with: {
    'named tasks': works(async (kit) => {
      const queue = await kit.on(Files, { group: 'one' }).on(A, { group: 'two' }).start();
      await queue.publish(A, 'a');
      await queue.publish(B, 'b');
      await kit.untilRan('a', 'a', 'b');
    }),
    'publishUnique skip': works(async (kit) => {
      const queue = await twoGroups(kit, {}, { run: kit.hold }).start();
      const publish = () => queue.publishUnique('tasks', 1, SKIP);
      await publish();
      await kit.untilRan(1, 1);
      await kit.untilCounts(queue, { running: 0 });
      expect(await outcomesOf(publish)).toEqual(['skipped']);
      kit.open();
    }),
    'publishUnique replace': refused('SLUICE_BAD_OPTION', async (start, kit) => {
      twoGroups(kit);
      return (await start()).publishUnique('tasks', 1, REPLACE);
    }),
    'publishUnique debounce': works((kit) => bothGet(kit, (queue) => queue.publishUnique('tasks', 'x', DUE))),
    collect: works(async (kit) => {
      const queue = await twoGroups(kit).start();
      await queue.collect('tasks', 'x', { ...COLLECT, max: 1 });
      await kit.untilRan(['x'], ['x']);
    }),
    delays: works((kit) => bothGet(kit, (queue) => queue.publish('tasks', 'x', { delayMs: 5 }))),
    schedules: noted((kit) => bothGet(kit, (queue) => runSchedule(queue, 'x'))),
    'concurrency.fleet': noted(async (kit) => {
      const queue = await twoGroups(kit, { ...FLEET, run: kit.hold }).start();
      await queue.publishMany('tasks', [1, 2]);
      await kit.untilRan(1, 1, 2);
      await kit.untilCounts(queue, { running: 1, waiting: 1 });
    }),
    rateLimit: noted(async (kit) => {
      const queue = await twoGroups(kit, RATE).start();
      await queue.publishMany('tasks', [1, 2]);
      await kit.untilRan(1, 1, 2);
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
    }),
    maxLength: noted(async (kit) => {
      const queue = await twoGroups(kit, {}, { run: kit.hold }).start(most(1));
      await queue.publish('tasks', 1);
      await kit.untilRan(1, 1);
      await kit.untilCounts(queue, { running: 0 });
      await expect(queue.publish('tasks', 2)).rejects.toMatchObject({ code: 'SLUICE_QUEUE_FULL' });
    }),
    deadLetterTo: noted(async (kit) => {
      const queue = await twoGroups(kit, {}, FAILING).on(AFTER).start();
      await queue.publish('tasks', 1);
      expect(await failuresOf(kit, 1)).toMatchObject([{ payload: 1, group: 'two' }]);
    }),
    whenAllSettled: refused('SLUICE_BAD_OPTION', async (start, kit) => {
      twoGroups(kit);
      return (await start()).publishMany('tasks', [1, 2], THEN);
    }),
    publishAndWait: noted(async (kit) => {
      const queue = await twoGroups(kit, { run: () => 'of one' }, { run: () => 'of two' }).start();
      const results = [undefined, 'one', 'two'].map((group) =>
        queue.publishAndWait('tasks', 1, { timeoutMs: LONG_MS, ...(group && { group }) }),
      );
      expect(await Promise.all(results)).toEqual(['of one', 'of one', 'of two']);
    }),
    batch: works(async (kit) => {
      const queue = await twoGroups(kit, BATCH).start();
      await queue.publishMany('tasks', [1, 2]);
      await kit.untilRan([1, 2], 1, 2);
    }),
    cancel: noted(async (kit) => {
      const queue = await twoGroups(kit, { run: kit.hold }).start();
      const id = await queue.publish('tasks', 1);
      await kit.untilRan(1, 1);
      expect(await queue.cancel('tasks', id, { group: 'two' })).toBe('not-found');
      expect(await queue.cancel('tasks', id, { group: 'one' })).toBe('aborting');
      await kit.untilDone(queue);
    }),
  },
};
