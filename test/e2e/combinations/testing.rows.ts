import { expect } from '@jest/globals';
import { noted, works, type Row } from './combination.js';
import { A, AFTER, B, Files, LONG_MS, fail } from './combination.kit.js';
import { BATCH } from './batch.rows.js';
import { FAILING, failuresOf } from './ends.rows.js';
import { COLLECT, DEBOUNCE, REPLACE, SKIP, collectTwo, outcomesOf } from './keys.rows.js';
import { FLEET, RATE, most } from './limits.rows.js';

/** In another slot than `tasks`, which no test without Redis has. */
const ELSEWHERE = 'elsewhere';

export const testingRow: Row = {
  feature: 'SluiceTestingModule',
  with: {
    'named tasks': works(async (kit) => {
      const { queue } = await kit.on(A).on(B).testing();
      await queue.publish(A, 'a');
      await queue.publish(B, 'b');
      expect(await queue.drain()).toEqual({ completed: 2, dead: 0 });
      expect(queue.published(Files)).toHaveLength(2);
    }),
    'publishUnique skip': works(async (kit) => {
      const { queue } = await kit.on('tasks').testing();
      const publish = () => queue.publishUnique('tasks', 1, SKIP);
      expect(await outcomesOf(publish, publish)).toEqual(['published', 'skipped']);
      await queue.drain();
      expect(await outcomesOf(publish)).toEqual(['published']);
    }),
    'publishUnique replace': works(async (kit) => {
      const { queue } = await kit.on('tasks').testing();
      for (const n of [1, 2]) await queue.publishUnique('tasks', n, REPLACE);
      await queue.drain();
      expect(kit.ran).toEqual([2]);
    }),
    'publishUnique debounce': works(async (kit) => {
      const { queue, clock } = await kit.on('tasks').testing();
      for (const n of [1, 2]) await queue.publishUnique('tasks', n, DEBOUNCE);
      await queue.drain();
      expect(kit.ran).toEqual([]);
      await clock.advance(LONG_MS);
      await queue.drain();
      expect(kit.ran).toEqual([2]);
    }),
    collect: works(async (kit) => {
      const { queue } = await kit.on('tasks').testing();
      await collectTwo(queue as never);
      await queue.publishUnique('tasks', 'no list', { ...DEBOUNCE, key: 'other' });
      expect((await queue.collect('tasks', 3, { ...COLLECT, key: 'other' })).outcome).toBe('published');
      await queue.drain();
      expect(kit.ran).toEqual([[1, 2]]);
    }),
    delays: works(async (kit) => {
      const { queue, clock } = await kit.on('tasks').testing();
      await queue.publish('tasks', 1, { delayMs: 1_000 });
      expect(await queue.drain()).toMatchObject({ completed: 0 });
      await clock.advance(1_000);
      expect(await queue.drain()).toMatchObject({ completed: 1 });
    }),
    schedules: works(async (kit) => {
      const { queue, clock } = await kit.on('tasks', { schedule: ['s', { everyMs: 60_000 }, 'due'] }).testing();
      await clock.advance(60_000);
      await queue.drain();
      expect(kit.ran).toEqual(['due']);
    }),
    'concurrency.fleet': noted(async (kit) => {
      const { queue } = await kit.on('tasks', FLEET).testing();
      await queue.publishMany('tasks', [1, 2]);
      expect(await queue.drain()).toMatchObject({ completed: 2 });
    }),
    rateLimit: noted(async (kit) => {
      const { queue } = await kit.on('tasks', RATE).testing();
      await queue.publishMany('tasks', [1, 2]);
      expect(await queue.drain()).toMatchObject({ completed: 2 });
    }),
    maxLength: noted(async (kit) => {
      const options = most(1).queues.tasks.maxLength;
      const { queue } = await kit.testing({ queues: { tasks: { maxLength: { ...options, onFull: 'wait' } } } });
      await queue.publish('tasks', 1);
      await expect(queue.publish('tasks', 2)).rejects.toMatchObject({ code: 'SLUICE_QUEUE_FULL' });
    }),
    deadLetterTo: noted(async (kit) => {
      const { queue } = await kit
        .on('tasks', { maxAttempts: 1, deadLetterTo: ELSEWHERE, run: fail })
        .on(ELSEWHERE)
        .testing();
      await queue.publish('tasks', 1);
      expect(await queue.drain()).toEqual({ completed: 1, dead: 1 });
      expect(await failuresOf(kit, 1, ELSEWHERE)).toMatchObject([{ payload: 1 }]);
    }),
    whenAllSettled: noted(async (kit) => {
      const { queue } = await kit.on('tasks').on(ELSEWHERE).testing();
      await queue.publishMany('tasks', [1, 2], { whenAllSettled: { queue: ELSEWHERE, payload: 'all' } });
      await queue.drain();
      expect(await kit.ranOn(ELSEWHERE, 1)).toMatchObject([{ counts: { completed: 2 } }]);
    }),
    publishAndWait: noted(async (kit) => {
      const { queue } = await kit.on('tasks').testing();
      const result = queue.publishAndWait('tasks', 1);
      await queue.drain();
      expect(await result).toBe(1);
    }),
    batch: noted(async (kit) => {
      const { queue } = await kit.on('tasks', BATCH).testing();
      await queue.publishMany('tasks', [1, 2, 3]);
      await queue.drain();
      expect(kit.ran).toEqual([[1, 2], [3]]);
    }),
    cancel: works(async (kit) => {
      const { queue } = await kit.on('tasks', { run: kit.hold }).testing();
      const waits = await queue.publish('tasks', 1);
      expect(await queue.cancel('tasks', waits)).toBe('removed');
      const runs = await queue.publish('tasks', 2);
      const drained = queue.drain();
      await kit.untilRan(2);
      expect(await queue.cancel('tasks', runs)).toBe('aborting');
      expect(await drained).toEqual({ completed: 0, dead: 0 });
    }),
    'several groups': works(async (kit) => {
      const { queue } = await kit.on('tasks', { group: 'one' }).on('tasks', { group: 'two' }).testing();
      await queue.publish('tasks', 1);
      expect(await queue.drain()).toEqual({ completed: 2, dead: 0 });
    }),
    pause: works(async (kit) => {
      const { queue } = await kit.on('tasks').testing();
      await queue.pause('tasks');
      await queue.publish('tasks', 1);
      expect(await queue.drain()).toMatchObject({ completed: 0 });
      await queue.resume('tasks');
      expect(await queue.drain()).toMatchObject({ completed: 1 });
    }),
    redrive: works(async (kit) => {
      const { queue } = await kit
        .on('tasks', { ...FAILING, run: kit.failing })
        .on(AFTER)
        .testing();
      await queue.publish('tasks', 1);
      expect(await queue.drain()).toEqual({ completed: 1, dead: 1 });
      kit.fix();
      expect(await queue.dead('tasks').redrive()).toBe(1);
      expect(await queue.drain()).toEqual({ completed: 1, dead: 0 });
    }),
  },
};
