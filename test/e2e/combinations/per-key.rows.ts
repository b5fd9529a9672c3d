import { expect } from '@jest/globals';
import type { QueueService } from 'nestjs-sluice/queue';
import { noted, refused, works, type Combination, type Row } from './combination.js';
import { A, AFTER, B, Files, LONG_MS, fail, type CombinationKit, type Handled } from './combination.kit.js';
import { FAILING, THEN, failuresOf } from './ends.rows.js';
import { FOLLOW } from './follow-up.rows.js';
import { COLLECT, DUE, REPLACE, SKIP, outcomesOf } from './keys.rows.js';
import { RATE, most } from './limits.rows.js';
import { Ordered } from './order.rows.js';
import { SHARES } from './priority.rows.js';
import { runSchedule } from './times.rows.js';

/** One task of a customer at a time. */
export const PER_KEY: Handled = { concurrency: { perKey: 1, by: 'c' } };
const of = (c: string, n = 1): { c: string; n: number } => ({ c, n });

/** A task of customer a runs; those that `publish` publishes, of a and b, wait and run. */
const holds = (publish: (queue: QueueService) => Promise<unknown>, handled: Handled = {}): Combination =>
  works(async (kit) => {
    const queue = await kit.on('tasks', { ...PER_KEY, run: kit.hold, ...handled }).start();
    await queue.publish('tasks', of('a'));
    await kit.untilRan(of('a'));
    await publish(queue);
    await kit.untilRan(of('a'), of('b', 2));
    await kit.untilCounts(queue, { running: 2, waiting: 1, delayed: 0 });
    kit.open();
    await kit.untilRan(of('a'), of('b', 2), of('a', 2));
    await kit.untilDone(queue);
  });

/** A task of customer a runs, and another one waits for it. */
async function waiting(kit: CombinationKit, handled: Handled = {}, options = {}): Promise<QueueService> {
  const queue = await kit.on('tasks', { ...PER_KEY, run: kit.hold, ...handled }).start(options);
  await queue.publish('tasks', of('a'));
  await kit.untilRan(of('a'));
  await queue.publish('tasks', of('a', 2));
  await kit.untilCounts(queue, { running: 1, waiting: 1 });
  return queue;
}

export const perKeyRow: Row = {
  feature: 'concurrency.perKey',
  with: {
    'named tasks': noted(async (kit) => {
      const queue = await kit
        .on(A, { ...PER_KEY, run: kit.hold })
        .on(B, { run: kit.hold })
        .start();
      for (const each of [A, B]) await queue.publishMany(each, [of('a'), of('a')]);
      await kit.untilRan(of('a'), of('a'), of('a'));
      await kit.untilCounts(queue, { running: 3, waiting: 1 }, Files);
      kit.forget();
      await expect(kit.on(Files, PER_KEY).start()).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    }),
    'publishUnique skip': holds(async (queue) => {
      for (const c of ['a', 'b']) {
        const publish = () => queue.publishUnique('tasks', of(c, 2), { ...SKIP, key: c });
        expect(await outcomesOf(publish, publish)).toEqual(['published', 'skipped']);
      }
    }),
    'publishUnique replace': works(async (kit) => {
      const queue = await waiting(kit);
      const publish = (n: number) => () => queue.publishUnique('tasks', of('a', n), REPLACE);
      expect(await outcomesOf(publish(3))).toEqual(['published']);
      await kit.untilCounts(queue, { running: 1, waiting: 2 });
      expect(await outcomesOf(publish(4))).toEqual(['replaced']);
      kit.open();
      await kit.untilRan(of('a'), of('a', 2), of('a', 4));
    }),
    'publishUnique debounce': holds(async (queue) => {
      for (const c of ['a', 'b']) await queue.publishUnique('tasks', of(c, 2), { ...DUE, key: c });
    }),
    collect: noted(async (kit) => {
      const queue = await kit.on('tasks', { ...PER_KEY, run: kit.hold }).start();
      for (const n of [1, 2]) await queue.collect('tasks', of('a', n), { ...COLLECT, max: 1 });
      await kit.untilRan([of('a')], [of('a', 2)]);
    }),
    delays: holds((queue) => queue.publishMany('tasks', [of('a', 2), of('b', 2)], { delayMs: 5 })),
    schedules: works(async (kit) => {
      const queue = await kit.on('tasks', { ...PER_KEY, run: kit.hold }).start();
      await queue.publish('tasks', of('a'));
      await kit.untilRan(of('a'));
      await runSchedule(queue, of('a', 2));
      await kit.untilCounts(queue, { running: 1, waiting: 1 });
      kit.open();
      await kit.untilRan(of('a'), of('a', 2));
    }),
    'concurrency.fleet': holds((queue) => queue.publishMany('tasks', [of('a', 2), of('b', 2)]), {
      concurrency: { perKey: 1, by: 'c', fleet: 5 },
    }),
    rateLimit: works(async (kit) => {
      const queue = await waiting(kit, RATE);
      kit.open();
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
      await kit.untilRan(of('a'));
    }),
    maxLength: works(async (kit) => {
      const queue = await waiting(kit, {}, most(2));
      await expect(queue.publish('tasks', of('b'))).rejects.toMatchObject({ code: 'SLUICE_QUEUE_FULL' });
    }),
    deadLetterTo: works(async (kit) => {
      const queue = await kit
        .on('tasks', { ...FAILING, ...PER_KEY })
        .on(AFTER)
        .start();
      await queue.publishMany('tasks', [of('a'), of('a', 2)]);
      expect(await failuresOf(kit, 2)).toHaveLength(2);
    }),
    whenAllSettled: works(async (kit) => {
      const queue = await kit.on('tasks', PER_KEY).on(AFTER).start();
      await queue.publishMany('tasks', [of('a'), of('a', 2)], THEN);
      expect(await kit.ranOn(AFTER, 1)).toMatchObject([{ counts: { completed: 2 } }]);
    }),
    publishAndWait: works(async (kit) => {
      const queue = await waiting(kit);
      const result = queue.publishAndWait('tasks', of('a', 3), { timeoutMs: LONG_MS });
      kit.open();
      expect(await result).toEqual(of('a', 3));
    }),
    batch: noted(async (kit) => {
      const queue = await kit.on('tasks', { ...PER_KEY, batch: { max: 3 }, run: kit.hold }).start();
      await queue.publishMany('tasks', [of('a'), of('a', 2), of('b')]);
      await kit.untilCounts(queue, { running: 2, waiting: 1 });
      kit.open();
      await kit.untilDone(queue);
      expect(kit.ran.flat()).toHaveLength(3);
      expect(
        (kit.ran as object[][]).every(
          (batch) => new Set(batch.map((each) => (each as { c: string }).c)).size === batch.length,
        ),
      ).toBe(true);
    }),
    cancel: works(async (kit) => {
      const queue = await waiting(kit);
      const { tasks } = await queue.list('tasks');
      expect(await queue.cancel('tasks', tasks[0]!.id)).toBe('removed');
      await queue.publish('tasks', of('a', 3));
      expect(await queue.cancel('tasks', kit.tasks[0]!.id)).toBe('aborting');
      await kit.untilRan(of('a'), of('a', 3));
    }),
    'several groups': noted(async (kit) => {
      const queue = await kit
        .on('tasks', { group: 'one', ...PER_KEY, run: kit.hold })
        .on('tasks', { group: 'two' })
        .start();
      await queue.publishMany('tasks', [of('a'), of('a')]);
      await kit.untilRan(of('a'), of('a'), of('a'));
      await kit.untilCounts(queue, { running: 1, waiting: 1 });
    }),
    pause: works(async (kit) => {
      const queue = await waiting(kit);
      await queue.pause('tasks');
      kit.open();
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
      expect(kit.ran).toHaveLength(1);
      await queue.resume('tasks');
      await kit.untilRan(of('a'), of('a', 2));
    }),
    redrive: works(async (kit) => {
      const queue = await kit.on('tasks', { ...PER_KEY, maxAttempts: 1, run: fail }).start();
      await queue.publishMany('tasks', [of('a'), of('a')]);
      await kit.untilCounts(queue, { dead: 2, running: 0 });
      expect(await queue.dead('tasks').redrive()).toBe(2);
      await kit.untilRan(of('a'), of('a'), of('a'), of('a'));
    }),
    SluiceTestingModule: noted(async (kit) => {
      const { queue } = await kit.on('tasks', PER_KEY).testing();
      await queue.publishMany('tasks', [of('a'), of('a')]);
      expect(await queue.drain()).toEqual({ completed: 2, dead: 0 });
    }),
    Cluster: works(async (kit) => {
      const queue = await kit.on('tasks', { ...PER_KEY, run: kit.hold }).start({}, { onSlots: true });
      await queue.publishMany('tasks', [of('a'), of('a')]);
      await kit.untilCounts(queue, { running: 1, waiting: 1 });
      kit.open();
      await kit.untilRan(of('a'), of('a'));
    }),
    'publishUnique follow-up': works(async (kit) => {
      const queue = await kit.on('tasks', { ...PER_KEY, run: kit.hold }).start();
      const publish = (n: number) => () => queue.publishUnique('tasks', of('a', n), FOLLOW);
      expect(await outcomesOf(publish(1))).toEqual(['published']);
      await kit.untilRan(of('a'));
      expect(await outcomesOf(publish(2), publish(3))).toEqual(['follows', 'follows']);
      kit.open();
      await kit.untilRan(of('a'), of('a', 3));
    }),
    priority: refused('SLUICE_BAD_OPTION', (start, kit) => {
      kit.on('tasks', PER_KEY);
      return start(SHARES);
    }),
    orderingKey: refused('SLUICE_BAD_OPTION', (start, kit) => {
      kit.on(Ordered, PER_KEY);
      return start();
    }),
  },
};
