import { expect } from '@jest/globals';
import type { QueueService, UniquePublish } from 'nestjs-sluice/queue';
import { noted, refused, works, type Row, type Start } from './combination.js';
import { A, AFTER, B, type CombinationKit, type Handled, type Run } from './combination.kit.js';
import { FAILING, THEN, failuresOf } from './ends.rows.js';
import { DEBOUNCE, REPLACE, SKIP, keepsItems, outcomesOf } from './keys.rows.js';
import { FLEET, RATE, most } from './limits.rows.js';
import { runSchedule } from './times.rows.js';

export const FOLLOW = { key: 'k', mode: 'follow-up' } as const;

/** A publish of the mode, to be called later. */
const follow =
  (queue: QueueService, payload: unknown, of = 'tasks') =>
  (): Promise<UniquePublish> =>
    queue.publishUnique(of, payload, FOLLOW);

/** 1 is running, and 2 follows it. */
async function following(kit: CombinationKit, handled: Handled = {}, start: Start = kit.start): Promise<QueueService> {
  const queue = await start.call(kit.on('tasks', { run: kit.hold, ...handled }));
  expect(await outcomesOf(follow(queue, 1))).toEqual(['published']);
  await kit.untilRan(1);
  expect(await outcomesOf(follow(queue, 2))).toEqual(['follows']);
  return queue;
}

export const followUpRow: Row = {
  feature: 'publishUnique follow-up',
  with: {
    'named tasks': works(async (kit) => {
      const queue = await kit.on(A, { run: kit.hold }).on(B, { run: kit.hold }).start();
      expect(await outcomesOf(follow(queue, 'a', A.name), follow(queue, 'b', B.name))).toEqual([
        'published',
        'published',
      ]);
      await kit.untilRan('a', 'b');
      expect(await outcomesOf(follow(queue, 'a2', A.name))).toEqual(['follows']);
      kit.open();
      await kit.untilRan('a', 'b', 'a2');
    }),
    'publishUnique skip': noted(async (kit) => {
      const queue = await following(kit);
      expect(await outcomesOf(() => queue.publishUnique('tasks', 3, SKIP))).toEqual(['skipped']);
      kit.open();
      await kit.untilRan(1, 2);
    }),
    'publishUnique replace': noted(async (kit) => {
      const queue = await following(kit);
      expect(await outcomesOf(() => queue.publishUnique('tasks', 3, REPLACE))).toEqual(['follows']);
      kit.open();
      await kit.untilRan(1, 3);
    }),
    'publishUnique debounce': noted(async (kit) => {
      const queue = await following(kit);
      expect(await outcomesOf(() => queue.publishUnique('tasks', 3, DEBOUNCE))).toEqual(['postponed']);
      kit.open();
      await kit.untilCounts(queue, { running: 0, delayed: 1 });
    }),
    collect: noted(async (kit) => {
      await keepsItems(kit, FOLLOW);
    }),
    delays: refused('SLUICE_BAD_OPTION', async (start) => {
      const queue = await start();
      return queue.publishUnique('tasks', 1, { ...FOLLOW, delayMs: 5 });
    }),
    schedules: noted(async (kit) => {
      const queue = await kit.on('tasks', { run: kit.hold }).start();
      await runSchedule(queue, 'due');
      await kit.untilRan('due');
      expect(await outcomesOf(follow(queue, 1))).toEqual(['published']);
      await kit.untilRan('due', 1);
    }),
    'concurrency.fleet': works(async (kit) => {
      await following(kit, FLEET);
      kit.open();
      await kit.untilRan(1, 2);
    }),
    rateLimit: works(async (kit) => {
      const queue = await following(kit, RATE);
      kit.open();
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
      await kit.untilRan(1);
    }),
    maxLength: refused('SLUICE_BAD_OPTION', async (start) => follow(await start(most(9)), 1)()),
    deadLetterTo: works(async (kit) => {
      const run: Run = async (task) => {
        await kit.hold(task);
        if (task.stream === 'tasks') throw new Error('no');
      };
      await following(kit.on(AFTER), { ...FAILING, run });
      kit.open();
      expect((await failuresOf(kit, 2)).map((failed) => failed.payload)).toEqual([1, 2]);
    }),
    whenAllSettled: refused('SLUICE_BAD_OPTION', async (start) =>
      (await start()).publishUnique('tasks', 1, { ...FOLLOW, ...THEN }),
    ),
    publishAndWait: refused('SLUICE_BAD_OPTION', async (start) => (await start()).publishAndWait('tasks', 1, FOLLOW)),
    batch: works(async (kit) => {
      const queue = await kit.on('tasks', { batch: { max: 2 }, run: kit.hold }).start();
      await follow(queue, 1)();
      await kit.untilRan([1]);
      expect(await outcomesOf(follow(queue, 2))).toEqual(['follows']);
      kit.open();
      await kit.untilRan([1], [2]);
    }),
    cancel: works(async (kit) => {
      const queue = await following(kit);
      expect(await queue.cancel('tasks', { key: 'k' })).toBe('removed');
      expect(await outcomesOf(follow(queue, 3))).toEqual(['follows']);
      kit.open();
      await kit.untilRan(1, 3);
    }),
    'several groups': refused('SLUICE_BAD_OPTION', async (start, kit) => {
      kit.on('tasks', { group: 'one' }).on('tasks', { group: 'two' });
      return follow(await start(), 1)();
    }),
    pause: works(async (kit) => {
      const queue = await following(kit);
      await queue.pause('tasks');
      kit.open();
      await kit.untilCounts(queue, { running: 0, waiting: 1, delayed: 0 });
      expect(kit.ran).toEqual([1]);
      await queue.resume('tasks');
      await kit.untilRan(1, 2);
    }),
    redrive: noted(async (kit) => {
      const run: Run = async (task) => {
        await kit.failing(task);
        await kit.hold(task);
      };
      const queue = await kit.on('tasks', { maxAttempts: 1, run }).start();
      await follow(queue, 1)();
      await kit.untilCounts(queue, { dead: 1, running: 0 });
      kit.fix();
      await queue.dead('tasks').redrive();
      await kit.untilRan(1, 1);
      expect(await outcomesOf(follow(queue, 2))).toEqual(['follows']);
      kit.open();
      await kit.untilRan(1, 1, 2);
    }),
    SluiceTestingModule: works(async (kit) => {
      const { queue } = await kit.on('tasks', { run: kit.hold }).testing();
      await queue.publishUnique('tasks', 1, FOLLOW);
      const drained = queue.drain();
      await kit.untilRan(1);
      expect((await queue.publishUnique('tasks', 2, FOLLOW)).outcome).toBe('follows');
      kit.open();
      expect(await drained).toEqual({ completed: 2, dead: 0 });
    }),
    Cluster: works(async (kit) => {
      await following(kit, {}, (options) => kit.start(options, { onSlots: true }));
      kit.open();
      await kit.untilRan(1, 2);
    }),
  },
};
