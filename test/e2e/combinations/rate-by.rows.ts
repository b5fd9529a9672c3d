import { expect } from '@jest/globals';
import { defineQueue, type QueueService } from 'nestjs-sluice/queue';
import { until } from '../../support/until.js';
import { noted, refused, works, type Combination, type Row } from './combination.js';
import { A, AFTER, B, Files, LONG_MS, fail, type CombinationKit, type Handled, type Run } from './combination.kit.js';
import { FAILING, THEN, failuresOf } from './ends.rows.js';
import { FOLLOW } from './follow-up.rows.js';
import { COLLECT, DUE, REPLACE, SKIP, outcomesOf } from './keys.rows.js';
import { most } from './limits.rows.js';
import { SHARES } from './priority.rows.js';
import { runSchedule } from './times.rows.js';

/** One start of each customer, and no other in this test. */
const BY: Handled = { rateLimit: { limit: 1, perMs: LONG_MS, by: 'c' } };
/** One start of each customer in a short time. */
const SOON: Handled = { rateLimit: { limit: 1, perMs: 50, by: 'c' } };
const ByCustomer = defineQueue<{ c: string; n: number }>('tasks', { orderingKey: ({ c }) => c });
const of = (c: string, n = 1): { c: string; n: number } => ({ c, n });

/** A task of customer a has run; of those that `publish` publishes, of a and b, the latter runs and the former waits. */
const paced = (publish: (queue: QueueService) => Promise<unknown>, handled: Handled = {}): Combination =>
  works(async (kit) => {
    const queue = await kit.on('tasks', { ...BY, ...handled }).start();
    await queue.publish('tasks', of('a'));
    await kit.untilRan(of('a'));
    await publish(queue);
    await kit.untilRan(of('a'), of('b', 2));
    await kit.untilCounts(queue, { running: 0, waiting: 1, delayed: 0 });
  });

/** A task of customer a has run, and another one waits. */
async function waiting(kit: CombinationKit, handled: Handled = {}, options = {}): Promise<QueueService> {
  const queue = await kit.on('tasks', { ...BY, ...handled }).start(options);
  await queue.publish('tasks', of('a'));
  await kit.untilRan(of('a'));
  await queue.publish('tasks', of('a', 2));
  await kit.untilCounts(queue, { running: 0, waiting: 1 });
  return queue;
}

export const rateByRow: Row = {
  feature: 'rateLimit.by',
  with: {
    'named tasks': noted(async (kit) => {
      const queue = await kit.on(A, BY).on(B).start();
      for (const each of [A, B]) await queue.publishMany(each, [of('a'), of('a')]);
      await kit.untilRan(of('a'), of('a'), of('a'));
      await kit.untilCounts(queue, { running: 0, waiting: 1 }, Files);
      kit.forget();
      await expect(kit.on(Files, BY).start()).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    }),
    'publishUnique skip': paced(async (queue) => {
      const publish = (c: string) => () => queue.publishUnique('tasks', of(c, 2), { ...SKIP, key: c });
      expect(await outcomesOf(publish('a'), publish('a'), publish('b'))).toEqual(['published', 'skipped', 'published']);
    }),
    'publishUnique replace': works(async (kit) => {
      const queue = await kit.on('tasks', { rateLimit: { limit: 1, perMs: 500, by: 'c' } }).start();
      await queue.publish('tasks', of('a'));
      await kit.untilRan(of('a'));
      const publish = (n: number) => () => queue.publishUnique('tasks', of('a', n), REPLACE);
      expect(await outcomesOf(publish(3))).toEqual(['published']);
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
      const [outcome] = await outcomesOf(publish(4));
      await kit.untilRan(...(outcome === 'replaced' ? [of('a'), of('a', 4)] : [of('a'), of('a', 3), of('a', 4)]));
    }),
    'publishUnique debounce': paced(async (queue) => {
      for (const c of ['a', 'b']) await queue.publishUnique('tasks', of(c, 2), { ...DUE, key: c });
    }),
    collect: noted(async (kit) => {
      const queue = await kit.on('tasks', BY).start();
      for (const n of [1, 2]) await queue.collect('tasks', of('a', n), { ...COLLECT, max: 1 });
      await kit.untilRan([of('a')], [of('a', 2)]);
    }),
    delays: paced((queue) => queue.publishMany('tasks', [of('a', 2), of('b', 2)], { delayMs: 5 })),
    schedules: works(async (kit) => {
      const queue = await kit.on('tasks', BY).start();
      await queue.publish('tasks', of('a'));
      await kit.untilRan(of('a'));
      await runSchedule(queue, of('a', 2));
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
    }),
    'concurrency.fleet': works(async (kit) => {
      const queue = await kit.on('tasks', { ...BY, concurrency: { fleet: 1 }, run: kit.hold }).start();
      await queue.publishMany('tasks', [of('a'), of('a', 2), of('b'), of('c')]);
      await kit.untilRan(of('a'));
      await kit.untilCounts(queue, { running: 1, waiting: 3 });
      kit.open();
      await kit.untilRan(of('a'), of('b'), of('c'));
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
    }),
    rateLimit: noted(async (kit) => {
      const rateLimit = { limit: 1, perMs: LONG_MS };
      const queue = await kit.on('tasks', { rateLimit }).start({ handlers: { tasks: { rateLimit: { by: 'c' } } } });
      await queue.publishMany('tasks', [of('a'), of('a', 2), of('b')]);
      await kit.untilRan(of('a'), of('b'));
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
    }),
    maxLength: works(async (kit) => {
      const queue = await waiting(kit, {}, most(1));
      await expect(queue.publish('tasks', of('b'))).rejects.toMatchObject({ code: 'SLUICE_QUEUE_FULL' });
    }),
    deadLetterTo: works(async (kit) => {
      const queue = await kit
        .on('tasks', { ...FAILING, ...SOON })
        .on(AFTER)
        .start();
      await queue.publishMany('tasks', [of('a'), of('a', 2)]);
      expect(await failuresOf(kit, 2)).toHaveLength(2);
    }),
    whenAllSettled: works(async (kit) => {
      const queue = await kit.on('tasks', SOON).on(AFTER).start();
      await queue.publishMany('tasks', [of('a'), of('a', 2)], THEN);
      expect(await kit.ranOn(AFTER, 1)).toMatchObject([{ counts: { completed: 2 } }]);
    }),
    publishAndWait: works(async (kit) => {
      const queue = await kit.on('tasks', SOON).start();
      await queue.publish('tasks', of('a'));
      expect(await queue.publishAndWait('tasks', of('a', 3), { timeoutMs: LONG_MS })).toEqual(of('a', 3));
    }),
    batch: refused('SLUICE_BAD_OPTION', (start, kit) => {
      kit.on('tasks', { ...BY, batch: { max: 3 } });
      return start();
    }),
    cancel: works(async (kit) => {
      const queue = await waiting(kit);
      const { tasks } = await queue.list('tasks');
      expect(await queue.cancel('tasks', tasks[0]!.id)).toBe('removed');
      await kit.untilDone(queue);
      expect(kit.ran).toHaveLength(1);
    }),
    'several groups': noted(async (kit) => {
      const queue = await kit
        .on('tasks', { group: 'one', ...BY })
        .on('tasks', { group: 'two' })
        .start();
      await queue.publishMany('tasks', [of('a'), of('a')]);
      await kit.untilRan(of('a'), of('a'), of('a'));
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
    }),
    pause: works(async (kit) => {
      const queue = await kit.on('tasks', SOON).start();
      await queue.pause('tasks');
      await queue.publishMany('tasks', [of('a'), of('a', 2)]);
      await kit.untilCounts(queue, { running: 0, waiting: 2 });
      expect(kit.ran).toHaveLength(0);
      await queue.resume('tasks');
      await kit.untilRan(of('a'), of('a', 2));
    }),
    redrive: noted(async (kit) => {
      const queue = await kit.on('tasks', { ...BY, maxAttempts: 1, run: fail }).start();
      await queue.publishMany('tasks', [of('a'), of('b')]);
      await kit.untilCounts(queue, { dead: 2, running: 0 });
      expect(await queue.dead('tasks').redrive()).toBe(2);
      await kit.untilCounts(queue, { dead: 0, waiting: 2 });
      expect(kit.ran).toHaveLength(2);
    }),
    SluiceTestingModule: noted(async (kit) => {
      const { queue } = await kit.on('tasks', BY).testing();
      await queue.publishMany('tasks', [of('a'), of('a')]);
      expect(await queue.drain()).toEqual({ completed: 2, dead: 0 });
    }),
    Cluster: works(async (kit) => {
      const queue = await kit.on('tasks', SOON).start({}, { onSlots: true });
      await queue.publishMany('tasks', [of('a'), of('a', 2), of('b')]);
      await kit.untilRan(of('a'), of('a', 2), of('b'));
      await kit.untilDone(queue);
    }),
    'publishUnique follow-up': works(async (kit) => {
      const queue = await kit.on('tasks', { ...SOON, run: kit.hold }).start();
      const publish = (n: number) => () => queue.publishUnique('tasks', of('a', n), FOLLOW);
      expect(await outcomesOf(publish(1))).toEqual(['published']);
      await kit.untilRan(of('a'));
      expect(await outcomesOf(publish(2), publish(3))).toEqual(['follows', 'follows']);
      kit.open();
      await kit.untilRan(of('a'), of('a', 3));
    }),
    priority: refused('SLUICE_BAD_OPTION', (start, kit) => {
      kit.on('tasks', BY);
      return start(SHARES);
    }),
    orderingKey: works(async (kit) => {
      const queue = await kit.on(ByCustomer, { ...SOON, run: kit.hold }).start();
      await queue.publishMany(ByCustomer, [of('a'), of('a', 2), of('b')]);
      await kit.untilRan(of('a'), of('b'));
      await kit.untilCounts(queue, { running: 2, waiting: 1 });
      kit.open();
      await kit.untilRan(of('a'), of('b'), of('a', 2));
    }),
    'concurrency.perKey': noted(async (kit) => {
      const queue = await kit
        .on('tasks', {
          rateLimit: { limit: 2, perMs: LONG_MS, by: 'c' },
          concurrency: { perKey: 1, by: 'c' },
          run: kit.hold,
        })
        .start();
      await queue.publishMany('tasks', [of('a'), of('a', 2), of('a', 3), of('b')]);
      await kit.untilRan(of('a'), of('b'));
      kit.open();
      await kit.untilRan(of('a'), of('b'), of('a', 2));
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
      kit.forget();
      const two = { ...BY, concurrency: { perKey: 1, by: 'n' } };
      await expect(kit.on('tasks', two).start()).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    }),
    'progress and events': works(async (kit) => {
      const queue = await kit.on('tasks', SOON).start();
      const told: string[] = [];
      const listener = queue.events('tasks').subscribe(({ type }) => told.push(type));
      await until(
        async () => {
          await queue.publish('tasks', of('a'));
          return told.includes('started') && told.includes('completed');
        },
        { what: 'starts and ends are told' },
      );
      listener.unsubscribe();
    }),
    'next and onAck': works(async (kit) => {
      const run: Run = (task) => {
        task.next(AFTER, task.payload);
      };
      const queue = await kit
        .on('tasks', { ...SOON, run })
        .on(AFTER)
        .start();
      await queue.publishMany('tasks', [of('a'), of('a', 2)]);
      expect(await kit.ranOn(AFTER, 2)).toEqual([of('a'), of('a', 2)]);
    }),
    history: works(async (kit) => {
      const queue = await kit.on('tasks', SOON).start({ queues: { tasks: { history: { completed: 10 } } } });
      await queue.publishMany('tasks', [of('a'), of('a', 2)]);
      const payloads = async (): Promise<unknown[]> =>
        (await queue.history('tasks')).tasks.map(({ payload }) => payload);
      await until(async () => (await payloads()).length === 2, { what: 'both are recorded' });
      expect(await payloads()).toEqual([of('a', 2), of('a')]);
    }),
  },
};
