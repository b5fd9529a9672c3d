import { expect } from '@jest/globals';
import { defineQueue, payload } from 'nestjs-sluice/queue';
import { noted, refused, works, type Combination, type Row } from './combination.js';
import { AFTER, LONG_MS, fail, type CombinationKit, type Handled } from './combination.kit.js';
import { FAILING, THEN, failuresOf } from './ends.rows.js';
import { FOLLOW } from './follow-up.rows.js';
import { COLLECT, DEBOUNCE, REPLACE, SKIP } from './keys.rows.js';
import { FLEET, RATE, most } from './limits.rows.js';

/** The key is the first letter of the payload. */
const orderingKey = (text: string): string => text.slice(0, 1);
export const Ordered = defineQueue<string>('tasks', { orderingKey });
const Failures = defineQueue<unknown>(AFTER);

/** A queue with an order takes no publish under a key. */
const refusedUnder = (options: object): Combination =>
  refused('SLUICE_BAD_OPTION', async (start) => (await start()).publishUnique(Ordered, 'a', options as never));

/** a1 runs; a2 is due and waits for it. */
async function waiting(kit: CombinationKit, handled: Handled = {}, options = {}): ReturnType<CombinationKit['start']> {
  const queue = await kit.on(Ordered, { run: kit.hold, ...handled }).start(options);
  await queue.publish(Ordered, 'a1');
  await kit.untilRan('a1');
  await queue.publish(Ordered, 'a2');
  await kit.untilCounts(queue, { running: 1, waiting: 1 });
  return queue;
}

export const orderRow: Row = {
  feature: 'orderingKey',
  with: {
    'named tasks': refused('SLUICE_BAD_OPTION', async (start) => {
      defineQueue('files', { tasks: { a: payload<number>() }, orderingKey } as never);
      return start();
    }),
    'publishUnique skip': refusedUnder(SKIP),
    'publishUnique replace': refusedUnder(REPLACE),
    'publishUnique debounce': refusedUnder(DEBOUNCE),
    collect: refused('SLUICE_BAD_OPTION', async (start) =>
      (await start()).collect(Ordered as never, 'a' as never, COLLECT),
    ),
    delays: works(async (kit) => {
      const queue = await kit.on(Ordered, { run: kit.hold }).start();
      await queue.publish(Ordered, 'a1');
      await kit.untilRan('a1');
      await queue.publish(Ordered, 'a2', { delayMs: 5 });
      await kit.untilCounts(queue, { running: 1, waiting: 1, delayed: 0 });
      kit.open();
      await kit.untilRan('a1', 'a2');
    }),
    schedules: refused('SLUICE_BAD_OPTION', async (start) => {
      const queue = await start();
      return queue.schedules(Ordered).upsert('s', '0 0 1 1 *', 'due');
    }),
    'concurrency.fleet': works(async (kit) => {
      const queue = await waiting(kit, FLEET);
      await queue.publish(Ordered, 'b1');
      await kit.untilCounts(queue, { running: 1, waiting: 2 });
      kit.open();
      await kit.untilRan('a1', 'a2', 'b1');
    }),
    rateLimit: works(async (kit) => {
      const queue = await waiting(kit, RATE);
      kit.open();
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
      await kit.untilRan('a1');
    }),
    maxLength: works(async (kit) => {
      const queue = await waiting(kit, {}, most(2));
      await expect(queue.publish(Ordered, 'a3')).rejects.toMatchObject({ code: 'SLUICE_QUEUE_FULL' });
    }),
    deadLetterTo: noted(async (kit) => {
      const queue = await kit.on(Ordered, FAILING).on(Failures).start();
      await queue.publishMany(Ordered, ['a1', 'a2']);
      expect((await failuresOf(kit, 2)).map((failed) => failed.payload)).toEqual(['a1', 'a2']);
      kit.forget();
      kit.on(Ordered, { ...FAILING, deadLetterTo: defineQueue(AFTER, { orderingKey: () => 'a' }) } as Handled);
      await expect(kit.start()).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    }),
    whenAllSettled: works(async (kit) => {
      const queue = await kit.on(Ordered).on(Failures).start();
      await queue.publishMany(Ordered, ['a1', 'a2'], THEN);
      expect(await kit.ranOn(AFTER, 1)).toMatchObject([{ counts: { completed: 2 } }]);
    }),
    publishAndWait: works(async (kit) => {
      const queue = await waiting(kit);
      const result = queue.publishAndWait(Ordered, 'a3', { timeoutMs: LONG_MS });
      kit.open();
      expect(await result).toBe('a3');
      expect(kit.ran).toEqual(['a1', 'a2', 'a3']);
    }),
    batch: noted(async (kit) => {
      const queue = await kit.on(Ordered, { batch: { max: 3 } }).start();
      await queue.publishMany(Ordered, ['a1', 'a2', 'b1']);
      await kit.untilDone(queue);
      const batches = kit.ran as string[][];
      expect(batches.every((batch) => new Set(batch.map(orderingKey)).size === batch.length)).toBe(true);
      expect(batches.flat().filter((text) => text.startsWith('a'))).toEqual(['a1', 'a2']);
    }),
    cancel: works(async (kit) => {
      const queue = await waiting(kit);
      expect(await queue.cancel(Ordered, kit.tasks[0]!.id)).toBe('aborting');
      await kit.untilRan('a1', 'a2');
    }),
    'several groups': works(async (kit) => {
      const queue = await kit.on(Ordered, { group: 'one' }).on(Ordered, { group: 'two' }).start();
      await queue.publishMany(Ordered, ['a1', 'a2']);
      await kit.untilRan('a1', 'a1', 'a2', 'a2');
    }),
    pause: works(async (kit) => {
      const queue = await waiting(kit);
      await queue.pause(Ordered);
      kit.open();
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
      expect(kit.ran).toEqual(['a1']);
      await queue.resume(Ordered);
      await kit.untilRan('a1', 'a2');
    }),
    redrive: noted(async (kit) => {
      const queue = await kit.on(Ordered, { maxAttempts: 1, run: kit.failing }).start();
      await queue.publish(Ordered, 'a1');
      await kit.untilCounts(queue, { dead: 1, running: 0 });
      kit.fix();
      await queue.pause(Ordered);
      await queue.publish(Ordered, 'a2');
      await queue.dead(Ordered).redrive();
      await queue.resume(Ordered);
      await kit.untilRan('a1', 'a2', 'a1');
      expect(kit.ran).toEqual(['a1', 'a2', 'a1']);
    }),
    SluiceTestingModule: works(async (kit) => {
      const { queue } = await kit.on(Ordered).testing();
      await queue.publishMany(Ordered, ['a1', 'b1', 'a2']);
      expect(await queue.drain()).toEqual({ completed: 3, dead: 0 });
      expect(kit.ran).toEqual(['a1', 'b1', 'a2']);
    }),
    Cluster: works(async (kit) => {
      const queue = await kit.on(Ordered, { maxAttempts: 1, run: fail }).start({}, { onSlots: true });
      await queue.publishMany(Ordered, ['a1', 'a2']);
      await kit.untilRan('a1', 'a2');
      await kit.untilCounts(queue, { dead: 2 });
    }),
    'publishUnique follow-up': refusedUnder(FOLLOW),
    priority: refused('SLUICE_BAD_OPTION', async (start) => {
      defineQueue('tasks', { orderingKey, shares: true } as never);
      return start();
    }),
  },
};
