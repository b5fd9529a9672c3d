import { expect } from '@jest/globals';
import type { QueueService } from 'nestjs-sluice/queue';
import { noted, works, type Combination, type Row } from './combination.js';
import { A, AFTER, B, LONG_MS, fail, type CombinationKit, type Handled } from './combination.kit.js';
import { BATCH } from './batch.rows.js';
import { FAILING, THEN, failuresOf } from './ends.rows.js';
import { DUE, REPLACE, SKIP, collectTwo, outcomesOf } from './keys.rows.js';
import { FLEET, RATE, most } from './limits.rows.js';
import { runSchedule } from './times.rows.js';

/** In another slot than `tasks`. */
const ELSEWHERE = 'elsewhere';

const onSlots = (kit: CombinationKit, options = {}): Promise<QueueService> => kit.start(options, { onSlots: true });

/** `publish` publishes what runs with these payloads. */
const runs = (
  publish: (queue: QueueService) => Promise<unknown>,
  payloads: unknown[],
  handled: Handled = {},
): Combination =>
  works(async (kit) => {
    const queue = await onSlots(kit.on('tasks', handled));
    await publish(queue);
    await kit.untilRan(...payloads);
    await kit.untilDone(queue);
  });

export const clusterRow: Row = {
  feature: 'Cluster',
  with: {
    'named tasks': works(async (kit) => {
      const queue = await onSlots(kit.on(A).on(B));
      await queue.publish(A, 'a');
      await queue.publish(B, 'b');
      await kit.untilRan('a', 'b');
    }),
    'publishUnique skip': runs((queue) => queue.publishUnique('tasks', 1, SKIP), [1]),
    'publishUnique replace': works(async (kit) => {
      const queue = await onSlots(kit);
      const publish = (): ReturnType<QueueService['publishUnique']> => queue.publishUnique('tasks', 1, REPLACE);
      expect(await outcomesOf(publish, publish)).toEqual(['published', 'replaced']);
    }),
    'publishUnique debounce': runs((queue) => queue.publishUnique('tasks', 1, DUE), [1]),
    collect: runs(collectTwo, [[1, 2]]),
    delays: runs((queue) => queue.publish('tasks', 1, { delayMs: 5 }), [1]),
    schedules: runs((queue) => runSchedule(queue, 'due'), ['due']),
    'concurrency.fleet': runs((queue) => queue.publishMany('tasks', [1, 2]), [1, 2], FLEET),
    rateLimit: works(async (kit) => {
      const queue = await onSlots(kit.on('tasks', RATE));
      await queue.publishMany('tasks', [1, 1]);
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
      await kit.untilRan(1);
    }),
    maxLength: works(async (kit) => {
      const queue = await onSlots(kit, most(1));
      await queue.publish('tasks', 1);
      await expect(queue.publish('tasks', 2)).rejects.toMatchObject({ code: 'SLUICE_QUEUE_FULL' });
    }),
    deadLetterTo: noted(async (kit) => {
      const queue = await onSlots(kit.on('tasks', FAILING).on(AFTER));
      await queue.publish('tasks', 1);
      expect(await failuresOf(kit, 1)).toMatchObject([{ payload: 1 }]);
      kit.forget();
      kit.on('tasks', { ...FAILING, deadLetterTo: ELSEWHERE });
      await expect(kit.start()).rejects.toMatchObject({ code: 'SLUICE_CROSS_SLOT' });
    }),
    whenAllSettled: noted(async (kit) => {
      const queue = await onSlots(kit.on('tasks').on(AFTER));
      await queue.publishMany('tasks', [1, 2], THEN);
      expect(await kit.ranOn(AFTER, 1)).toMatchObject([{ counts: { completed: 2 } }]);
      const elsewhere = queue.publishMany('tasks', [1], { whenAllSettled: { queue: ELSEWHERE, payload: 'all' } });
      await expect(elsewhere).rejects.toMatchObject({ code: 'SLUICE_CROSS_SLOT' });
    }),
    publishAndWait: works(async (kit) => {
      const queue = await onSlots(kit.on('tasks'));
      expect(await queue.publishAndWait('tasks', 1, { timeoutMs: LONG_MS })).toBe(1);
    }),
    batch: runs((queue) => queue.publishMany('tasks', [1, 2]), [[1, 2]], BATCH),
    cancel: works(async (kit) => {
      const queue = await onSlots(kit.on('tasks', { run: kit.hold }));
      const id = await queue.publish('tasks', 1);
      await kit.untilRan(1);
      expect(await queue.cancel('tasks', id)).toBe('aborting');
      await kit.untilDone(queue);
    }),
    'several groups': works(async (kit) => {
      const queue = await onSlots(kit.on('tasks', { group: 'one' }).on('tasks', { group: 'two' }));
      await queue.publish('tasks', 1);
      await kit.untilRan(1, 1);
    }),
    pause: works(async (kit) => {
      const queue = await onSlots(kit.on('tasks'));
      await queue.pause('tasks');
      await queue.publish('tasks', 1);
      expect(await queue.counts('tasks')).toMatchObject({ waiting: 1, paused: true });
      await queue.resume('tasks');
      await kit.untilRan(1);
    }),
    redrive: works(async (kit) => {
      const queue = await onSlots(kit.on('tasks', { maxAttempts: 1, run: fail }));
      await queue.publish('tasks', 1);
      await kit.untilCounts(queue, { dead: 1 });
      expect(await queue.dead('tasks').redrive()).toBe(1);
      await kit.untilRan(1, 1);
    }),
    SluiceTestingModule: noted(async (kit) => {
      const { queue } = await kit.on('tasks', { ...FAILING, deadLetterTo: ELSEWHERE }).testing();
      await queue.publish('tasks', 1);
      await expect(queue.drain()).rejects.toMatchObject({ code: 'SLUICE_QUEUE_NO_HANDLER' });
      expect(queue.published(ELSEWHERE)).toHaveLength(1);
    }),
  },
};
