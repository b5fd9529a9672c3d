import { expect } from '@jest/globals';
import type { QueueService } from 'nestjs-sluice/queue';
import { noted, refused, works, type Row } from './combination.js';
import { A, B, Files, LONG_MS, type CombinationKit, type Handled } from './combination.kit.js';
import { COLLECT, DEBOUNCE, DUE, REPLACE, SKIP, collectTwo } from './keys.rows.js';
import { runSchedule } from './times.rows.js';

/** One task at a time in the whole fleet. */
export const FLEET: Handled = { concurrency: { fleet: 1 } };
/** One start, and no other in this test. */
export const RATE: Handled = { rateLimit: { limit: 1, perMs: LONG_MS } };
/** The module's options with `maxLength` for `tasks`. */
export const most = (limit: number) => ({ queues: { tasks: { maxLength: { limit } } } });
const FULL = { code: 'SLUICE_QUEUE_FULL' };

/** Two publishes, of which the handler may take one: the other stays in the queue, until the first has ended. */
async function oneAtATime(kit: CombinationKit, publish: (queue: QueueService) => Promise<unknown>): Promise<void> {
  const queue = await kit.on('tasks', { ...FLEET, run: kit.hold }).start();
  await publish(queue);
  await kit.untilCounts(queue, { running: 1, waiting: 1 });
  expect(kit.ran.length).toBeLessThan(2);
  kit.open();
  await kit.untilDone(queue);
  expect(kit.ran).toHaveLength(2);
}

/** Two publishes, of which one starts. */
async function oneStart(kit: CombinationKit, publish: (queue: QueueService) => Promise<unknown>): Promise<void> {
  const queue = await kit.on('tasks', RATE).start();
  await publish(queue);
  await kit.untilCounts(queue, { running: 0, waiting: 1, delayed: 0 });
  expect(kit.ran).toHaveLength(1);
}

/** What publishes two tasks, by the feature. */
const TWO: Record<string, (queue: QueueService) => Promise<unknown>> = {
  'publishUnique debounce': async (queue) => {
    await queue.publishUnique('tasks', 1, DUE);
    await queue.publishUnique('tasks', 2, { ...DUE, key: 'other' });
  },
  collect: async (queue) => {
    await collectTwo(queue);
    await collectTwo(queue);
  },
  delays: async (queue) => {
    await queue.publish('tasks', 1, { delayMs: 5 });
    await queue.publish('tasks', 2, { delayMs: 5 });
  },
  schedules: async (queue) => {
    await runSchedule(queue, 'due');
    await queue.publish('tasks', 1);
  },
};

export const fleetRow: Row = {
  feature: 'concurrency.fleet',
  with: {
    'named tasks': noted(async (kit) => {
      kit.on(A, { ...FLEET, run: kit.hold }).on(B, { run: kit.hold });
      const queue = await kit.start();
      await queue.publishMany(A, [1, 2]);
      await queue.publishMany(B, [3, 4]);
      await kit.untilRan(1, 3, 4);
      expect(await queue.counts(A)).toMatchObject({ running: 1, waiting: 1 });
      kit.forget();
      await expect(kit.on(Files, FLEET).start()).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    }),
    'publishUnique skip': works((kit) =>
      oneAtATime(kit, async (queue) => {
        await queue.publishUnique('tasks', 1, SKIP);
        await queue.publishUnique('tasks', 2, { key: 'other' });
        expect((await queue.publishUnique('tasks', 3, { key: 'other' })).outcome).toBe('skipped');
      }),
    ),
    'publishUnique replace': works(async (kit) => {
      await oneAtATime(kit, async (queue) => {
        await queue.publish('tasks', 1);
        await kit.untilRan(1);
        await queue.publishUnique('tasks', 2, REPLACE);
        expect((await queue.publishUnique('tasks', 3, REPLACE)).outcome).toBe('replaced');
      });
      expect(kit.ran).toEqual([1, 3]);
    }),
    'publishUnique debounce': works((kit) => oneAtATime(kit, TWO['publishUnique debounce']!)),
    collect: works((kit) => oneAtATime(kit, TWO['collect']!)),
    delays: works((kit) => oneAtATime(kit, TWO['delays']!)),
    schedules: works((kit) => oneAtATime(kit, TWO['schedules']!)),
  },
};

export const rateRow: Row = {
  feature: 'rateLimit',
  with: {
    'named tasks': noted(async (kit) => {
      const queue = await kit.on(A, RATE).on(B).start();
      await queue.publishMany(A, [1, 1]);
      await queue.publishMany(B, [3, 4]);
      await kit.untilRan(1, 3, 4);
      await kit.untilCounts(queue, { running: 0, waiting: 1 }, Files);
      kit.forget();
      await expect(kit.on(Files, RATE).start()).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    }),
    'publishUnique skip': works((kit) =>
      oneStart(kit, async (queue) => {
        await queue.publish('tasks', 1);
        await kit.untilRan(1);
        await queue.publishUnique('tasks', 2, SKIP);
        expect((await queue.publishUnique('tasks', 3, SKIP)).outcome).toBe('skipped');
      }),
    ),
    'publishUnique replace': works((kit) =>
      oneStart(kit, async (queue) => {
        await queue.publish('tasks', 1);
        await kit.untilRan(1);
        await queue.publishUnique('tasks', 2, REPLACE);
        expect((await queue.publishUnique('tasks', 3, REPLACE)).outcome).toBe('replaced');
      }),
    ),
    'publishUnique debounce': works((kit) => oneStart(kit, TWO['publishUnique debounce']!)),
    collect: works((kit) => oneStart(kit, TWO['collect']!)),
    delays: works((kit) => oneStart(kit, TWO['delays']!)),
    schedules: works((kit) => oneStart(kit, TWO['schedules']!)),
    'concurrency.fleet': works(async (kit) => {
      const rateLimit = { limit: 2, perMs: LONG_MS };
      const queue = await kit.on('tasks', { ...FLEET, rateLimit, run: kit.hold }).start();
      await queue.publishMany('tasks', [1, 1, 1]);
      await kit.untilRan(1);
      await kit.untilCounts(queue, { running: 1, waiting: 2 });
      kit.open();
      await kit.untilCounts(queue, { running: 0, waiting: 1 });
      expect(kit.ran).toHaveLength(2);
    }),
  },
};

export const lengthRow: Row = {
  feature: 'maxLength',
  with: {
    'named tasks': noted(async (kit) => {
      const queue = await kit.start({ queues: { 'files.a': { maxLength: { limit: 1 } } } });
      await queue.publish(A, 1);
      await expect(queue.publish(A, 2)).rejects.toMatchObject(FULL);
      await queue.publishMany(B, [3, 4]);
      const whole = await kit.start({ queues: { files: { maxLength: { limit: 1 } } } });
      await expect(whole.publish(A, 1)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    }),
    'publishUnique skip': refused('SLUICE_BAD_OPTION', async (start) =>
      (await start(most(9))).publishUnique('tasks', 1, SKIP),
    ),
    'publishUnique replace': refused('SLUICE_BAD_OPTION', async (start) =>
      (await start(most(9))).publishUnique('tasks', 1, REPLACE),
    ),
    'publishUnique debounce': refused('SLUICE_BAD_OPTION', async (start) =>
      (await start(most(9))).publishUnique('tasks', 1, DEBOUNCE),
    ),
    collect: refused('SLUICE_BAD_OPTION', async (start) => (await start(most(9))).collect('tasks', 1, COLLECT)),
    delays: works(async (kit) => {
      const queue = await kit.start(most(1));
      await queue.publish('tasks', 1, { delayMs: LONG_MS });
      await expect(queue.publish('tasks', 2)).rejects.toMatchObject(FULL);
      await expect(queue.publish('tasks', 2, { delayMs: LONG_MS })).rejects.toMatchObject(FULL);
    }),
    schedules: noted(async (kit) => {
      const queue = await kit.start(most(1));
      await queue.publish('tasks', 1);
      await runSchedule(queue, 'due');
      expect(await queue.counts('tasks')).toMatchObject({ waiting: 2 });
    }),
    'concurrency.fleet': works(async (kit) => {
      const queue = await kit.on('tasks', { ...FLEET, run: kit.hold }).start(most(2));
      await queue.publishMany('tasks', [1, 1]);
      await kit.untilRan(1);
      await expect(queue.publish('tasks', 3)).rejects.toMatchObject(FULL);
    }),
    rateLimit: works(async (kit) => {
      const queue = await kit.on('tasks', RATE).start(most(1));
      await queue.publish('tasks', 1);
      await kit.untilDone(queue);
      await queue.publish('tasks', 2);
      await expect(queue.publish('tasks', 3)).rejects.toMatchObject(FULL);
    }),
  },
};
