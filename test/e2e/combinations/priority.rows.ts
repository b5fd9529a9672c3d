import { expect } from '@jest/globals';
import { defineQueue, payload, type FailedTask, type QueueService } from 'nestjs-sluice/queue';
import { noted, refused, works, type Combination, type Row } from './combination.js';
import { AFTER, LONG_MS, fail, type CombinationKit, type Handled } from './combination.kit.js';
import { BATCH } from './batch.rows.js';
import { FAILING, THEN, failuresOf } from './ends.rows.js';
import { FOLLOW } from './follow-up.rows.js';
import { COLLECT, DEBOUNCE, REPLACE, SKIP } from './keys.rows.js';
import { FLEET, RATE } from './limits.rows.js';
import { runSchedule } from './times.rows.js';

/** Levels of `tasks`. */
export const SHARES = { queues: { tasks: { shares: true } } } as const;
const HIGH = { priority: 'high' } as const;

/** A publish under a key takes no priority. */
const refusedUnder = (options: object): Combination =>
  refused('SLUICE_BAD_OPTION', async (start) =>
    (await start(SHARES)).publishUnique('tasks', 1, { ...options, ...HIGH } as never),
  );

/** A handler with these options cannot read a queue with levels. */
const refusedAtBoot = (handled: Handled): Combination =>
  refused('SLUICE_BAD_OPTION', (start, kit) => {
    kit.on('tasks', handled);
    return start(SHARES);
  });

/** How many of the level `high` are in this state. */
async function untilHigh(
  kit: CombinationKit,
  queue: QueueService,
  state: 'waiting' | 'dead' | 'delayed',
): Promise<void> {
  await kit.untilCounts(queue, { [state]: 1 });
  expect((await queue.counts('tasks')).levels?.high).toMatchObject({ [state]: 1 });
}

export const priorityRow: Row = {
  feature: 'priority',
  with: {
    'named tasks': refused('SLUICE_BAD_OPTION', async (start) => {
      defineQueue('files', { tasks: { a: payload<number>() }, shares: true } as never);
      return start();
    }),
    'publishUnique skip': refusedUnder(SKIP),
    'publishUnique replace': refusedUnder(REPLACE),
    'publishUnique debounce': refusedUnder(DEBOUNCE),
    collect: refused('SLUICE_BAD_OPTION', async (start) =>
      (await start(SHARES)).collect('tasks', 1, { ...COLLECT, ...HIGH }),
    ),
    delays: works(async (kit) => {
      const queue = await kit.on('tasks').start(SHARES);
      await queue.publish('tasks', 1, { ...HIGH, delayMs: 5 });
      await kit.untilRan(1);
      await queue.publish('tasks', 2, { ...HIGH, delayMs: LONG_MS });
      await untilHigh(kit, queue, 'delayed');
    }),
    schedules: noted(async (kit) => {
      const queue = await kit.start(SHARES);
      await runSchedule(queue, 'due');
      expect((await queue.counts('tasks')).levels).toMatchObject({ normal: { waiting: 1 }, high: { waiting: 0 } });
    }),
    'concurrency.fleet': refusedAtBoot(FLEET),
    rateLimit: refusedAtBoot(RATE),
    maxLength: refused('SLUICE_BAD_OPTION', async (start) => {
      const queue = await start({ queues: { tasks: { shares: true, maxLength: { limit: 9 } } } });
      return queue.publish('tasks', 1, HIGH);
    }),
    deadLetterTo: noted(async (kit) => {
      const Failures = defineQueue<FailedTask>(AFTER, { shares: true });
      const queue = await kit.on('tasks', FAILING).start(SHARES);
      await queue.publish('tasks', 1, HIGH);
      await kit.untilCounts(queue, { waiting: 1 }, AFTER);
      expect((await queue.counts(Failures)).levels?.normal).toMatchObject({ waiting: 1 });
      await kit.on(Failures).start({ ...SHARES, consumers: [AFTER] });
      expect(await failuresOf(kit, 1)).toMatchObject([{ payload: 1 }]);
    }),
    whenAllSettled: refused('SLUICE_BAD_OPTION', async (start) =>
      (await start(SHARES)).publishMany('tasks', [1, 2], { ...HIGH, ...THEN }),
    ),
    publishAndWait: works(async (kit) => {
      const queue = await kit.on('tasks').start(SHARES);
      expect(await queue.publishAndWait('tasks', 1, { ...HIGH, timeoutMs: LONG_MS })).toBe(1);
    }),
    batch: refusedAtBoot(BATCH),
    cancel: works(async (kit) => {
      const queue = await kit.on('tasks', { run: kit.hold, concurrency: 1 }).start(SHARES);
      const id = await queue.publish('tasks', 1, HIGH);
      await kit.untilRan(1);
      expect(await queue.cancel('tasks', id)).toBe('aborting');
      await kit.untilDone(queue);
      const late = await queue.publish('tasks', 2, { ...HIGH, delayMs: LONG_MS });
      expect(await queue.cancel('tasks', late)).toBe('removed');
    }),
    'several groups': works(async (kit) => {
      const queue = await kit.on('tasks', { group: 'one' }).on('tasks', { group: 'two' }).start(SHARES);
      await queue.publish('tasks', 1, HIGH);
      await kit.untilRan(1, 1);
    }),
    pause: works(async (kit) => {
      const queue = await kit.on('tasks').start(SHARES);
      await queue.pause('tasks');
      await queue.publish('tasks', 1, HIGH);
      await untilHigh(kit, queue, 'waiting');
      expect(kit.ran).toEqual([]);
      await queue.resume('tasks');
      await kit.untilRan(1);
    }),
    redrive: works(async (kit) => {
      const queue = await kit.on('tasks', { maxAttempts: 1, run: fail }).start(SHARES);
      await queue.publish('tasks', 1, HIGH);
      await untilHigh(kit, queue, 'dead');
      await queue.pause('tasks');
      expect(await queue.dead('tasks').redrive()).toBe(1);
      await untilHigh(kit, queue, 'waiting');
    }),
    SluiceTestingModule: noted(async (kit) => {
      const { queue } = await kit.on('tasks').testing(SHARES);
      for (const priority of ['low', 'high', 'normal', 'high'] as const) {
        await queue.publish('tasks', priority, { priority });
      }
      await queue.drain();
      expect(kit.ran).toEqual(['high', 'high', 'normal', 'low']);
    }),
    Cluster: works(async (kit) => {
      const queue = await kit.on('tasks').start(SHARES, { onSlots: true });
      await queue.publish('tasks', 1, HIGH);
      await queue.publish('tasks', 2, { priority: 'low' });
      await kit.untilRan(1, 2);
    }),
    'publishUnique follow-up': refusedUnder(FOLLOW),
  },
};
