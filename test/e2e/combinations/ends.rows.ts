import { expect } from '@jest/globals';
import type { FailedTask, QueueService, SettledTasks } from 'nestjs-sluice/queue';
import { noted, refused, works, type Row } from './combination.js';
import { A, AFTER, AFTER_FILES, LONG_MS, fail, type CombinationKit, type Handled } from './combination.kit.js';
import { COLLECT, DEBOUNCE, DUE, REPLACE, SKIP, collectTwo } from './keys.rows.js';
import { most } from './limits.rows.js';
import { runSchedule } from './times.rows.js';

/** A handler that fails for good, and publishes its failures. */
export const FAILING: Handled = { maxAttempts: 1, deadLetterTo: AFTER, run: fail };

/** The failures that were published, of which there are so many. */
export async function failuresOf(kit: CombinationKit, count: number, queue = AFTER): Promise<FailedTask[]> {
  return (await kit.ranOn(queue, count)) as FailedTask[];
}

/** Fails what `publish` publishes. Resolves to the payloads of so many failures. */
async function failed(
  kit: CombinationKit,
  publish: (queue: QueueService) => Promise<unknown>,
  { count = 1, options = {} }: { count?: number; options?: Handled } = {},
): Promise<unknown[]> {
  const queue = await kit
    .on('tasks', { ...FAILING, ...options })
    .on(AFTER)
    .start();
  await publish(queue);
  const payloads = (await failuresOf(kit, count)).map(({ payload }) => payload);
  await kit.untilCounts(queue, { dead: count });
  return payloads;
}

export const deadLetterRow: Row = {
  feature: 'deadLetterTo',
  with: {
    'named tasks': works(async (kit) => {
      kit.on(A, { maxAttempts: 1, deadLetterTo: AFTER_FILES, run: fail }).on(AFTER_FILES);
      const queue = await kit.start();
      await queue.publish(A, 1);
      expect(await failuresOf(kit, 1, AFTER_FILES)).toMatchObject([{ queue: A.name, payload: 1 }]);
    }),
    'publishUnique skip': works(async (kit) => {
      const queue = await kit.on('tasks', FAILING).on(AFTER).start();
      await queue.publishUnique('tasks', 1, SKIP);
      await failuresOf(kit, 1);
      expect((await queue.publishUnique('tasks', 2, SKIP)).outcome).toBe('published');
    }),
    'publishUnique replace': works(async (kit) => {
      const queue = await kit.start();
      await queue.publishUnique('tasks', 1, REPLACE);
      await queue.publishUnique('tasks', 2, REPLACE);
      expect(await failed(kit, () => Promise.resolve())).toEqual([2]);
    }),
    'publishUnique debounce': works(async (kit) => {
      expect(await failed(kit, (queue) => queue.publishUnique('tasks', 1, DUE))).toEqual([1]);
    }),
    collect: works(async (kit) => {
      expect(await failed(kit, collectTwo)).toEqual([[1, 2]]);
    }),
    delays: works(async (kit) => {
      expect(await failed(kit, (queue) => queue.publish('tasks', 1, { delayMs: 5 }))).toEqual([1]);
    }),
    schedules: works(async (kit) => {
      const queue = await kit.on('tasks', FAILING).on(AFTER).start();
      const id = await runSchedule(queue, 'due');
      expect(await failuresOf(kit, 1)).toMatchObject([{ id, payload: 'due' }]);
    }),
    'concurrency.fleet': works(async (kit) => {
      const options = { concurrency: { fleet: 1 } };
      const payloads = await failed(kit, (queue) => queue.publishMany('tasks', [1, 2]), { count: 2, options });
      expect(payloads).toEqual([1, 2]);
    }),
    rateLimit: works(async (kit) => {
      const options = { rateLimit: { limit: 2, perMs: LONG_MS } };
      await failed(kit, (queue) => queue.publishMany('tasks', [1, 2, 3]), { count: 2, options });
    }),
    maxLength: noted(async (kit) => {
      const queue = await kit.on('tasks', FAILING).start({ queues: { [AFTER]: { maxLength: { limit: 1 } } } });
      await queue.publishMany('tasks', [1, 2]);
      await kit.untilCounts(queue, { waiting: 2 }, AFTER);
      await expect(queue.publish(AFTER, 1)).rejects.toMatchObject({ code: 'SLUICE_QUEUE_FULL' });
    }),
  },
};

/** What follows two tasks. */
export const THEN = { whenAllSettled: { queue: AFTER, payload: 'all' } };
/** The options of another call, where they do not belong. */
const misplaced = (options: object): never => ({ ...options, ...THEN }) as never;

/** Publishes two tasks in one call, and resolves to the counts in what follows. */
async function settled(
  kit: CombinationKit,
  {
    handled = {},
    options = {},
    meanwhile = () => undefined,
  }: { handled?: Handled; options?: object; meanwhile?: (queue: QueueService) => unknown } = {},
): Promise<SettledTasks['counts']> {
  const queue = await kit.on('tasks', handled).on(AFTER).start();
  await queue.publishMany('tasks', [1, 2], { ...options, ...THEN });
  await meanwhile(queue);
  const [follows] = (await kit.ranOn(AFTER, 1)) as SettledTasks[];
  return follows!.counts;
}

export const settledRow: Row = {
  feature: 'whenAllSettled',
  with: {
    'named tasks': works(async (kit) => {
      const queue = await kit.on(A).on(AFTER_FILES).start();
      await queue.publishMany(A, [1, 2], { whenAllSettled: { queue: AFTER_FILES, payload: 'all' } });
      expect(await kit.ranOn(AFTER_FILES, 1)).toMatchObject([{ payload: 'all', counts: { completed: 2 } }]);
    }),
    'publishUnique skip': refused('SLUICE_BAD_OPTION', async (start) =>
      (await start()).publishUnique('tasks', 1, misplaced(SKIP)),
    ),
    'publishUnique replace': refused('SLUICE_BAD_OPTION', async (start) =>
      (await start()).publishUnique('tasks', 1, misplaced(REPLACE)),
    ),
    'publishUnique debounce': refused('SLUICE_BAD_OPTION', async (start) =>
      (await start()).publishUnique('tasks', 1, misplaced(DEBOUNCE)),
    ),
    collect: refused('SLUICE_BAD_OPTION', async (start) => (await start()).collect('tasks', 1, misplaced(COLLECT))),
    delays: works(async (kit) => {
      expect(await settled(kit, { options: { delayMs: 5 } })).toMatchObject({ total: 2, completed: 2 });
    }),
    schedules: works(async (kit) => {
      const meanwhile = (queue: QueueService): Promise<string> => runSchedule(queue, 'due');
      expect(await settled(kit, { meanwhile })).toMatchObject({ total: 2, completed: 2 });
    }),
    'concurrency.fleet': works(async (kit) => {
      const handled = { concurrency: { fleet: 1 } };
      expect(await settled(kit, { handled })).toMatchObject({ completed: 2 });
    }),
    rateLimit: works(async (kit) => {
      const handled = { rateLimit: { limit: 1, perMs: 50 } };
      expect(await settled(kit, { handled })).toMatchObject({ completed: 2 });
    }),
    maxLength: refused('SLUICE_BAD_OPTION', async (start) => (await start(most(9))).publishMany('tasks', [1, 2], THEN)),
    deadLetterTo: works(async (kit) => {
      const other = '{tasks}.other';
      kit.on(other);
      const handled: Handled = { maxAttempts: 1, deadLetterTo: other, run: fail };
      expect(await settled(kit, { handled })).toMatchObject({ completed: 0, failed: 2 });
      expect(await failuresOf(kit, 2, other)).toHaveLength(2);
    }),
  },
};

const WAIT = { timeoutMs: LONG_MS };

export const awaitedRow: Row = {
  feature: 'publishAndWait',
  with: {
    'named tasks': works(async (kit) => {
      const queue = await kit.on(A).start();
      expect(await queue.publishAndWait(A, 1, WAIT)).toBe(1);
    }),
    'publishUnique skip': noted(async (kit) => {
      const queue = await kit.on('tasks').start();
      await queue.publishUnique('tasks', 1, { ...SKIP, delayMs: 200 });
      expect(await queue.publishAndWait('tasks', 2, { ...WAIT, ...SKIP })).toBe(1);
    }),
    'publishUnique replace': refused('SLUICE_BAD_OPTION', async (start) =>
      (await start()).publishAndWait('tasks', 1, REPLACE),
    ),
    'publishUnique debounce': refused('SLUICE_BAD_OPTION', async (start) =>
      (await start()).publishAndWait('tasks', 1, DEBOUNCE),
    ),
    collect: refused('SLUICE_BAD_OPTION', async (start) => (await start()).publishAndWait('tasks', [1], COLLECT)),
    delays: noted(async (kit) => {
      const queue = await kit.on('tasks').start();
      expect(await queue.publishAndWait('tasks', 1, { ...WAIT, delayMs: 5 })).toBe(1);
      const late = queue.publishAndWait('tasks', 1, { timeoutMs: 5, delayMs: 5 });
      await expect(late).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    }),
    schedules: works(async (kit) => {
      const queue = await kit.on('tasks').start();
      await runSchedule(queue, 'due');
      expect(await queue.publishAndWait('tasks', 1, WAIT)).toBe(1);
      await kit.untilRan('due', 1);
    }),
    'concurrency.fleet': works(async (kit) => {
      const queue = await kit.on('tasks', { concurrency: { fleet: 1 } }).start();
      const results = [1, 2].map((n) => queue.publishAndWait('tasks', n, WAIT));
      expect(await Promise.all(results)).toEqual([1, 2]);
    }),
    rateLimit: works(async (kit) => {
      const queue = await kit.on('tasks', { rateLimit: { limit: 1, perMs: 100 } }).start();
      const results = [1, 2].map((n) => queue.publishAndWait('tasks', n, WAIT));
      expect(await Promise.all(results)).toEqual([1, 2]);
    }),
    maxLength: works(async (kit) => {
      const queue = await kit.on('tasks', { run: kit.hold }).start(most(1));
      const result = queue.publishAndWait('tasks', 1, WAIT);
      await kit.untilRan(1);
      await expect(queue.publishAndWait('tasks', 2, WAIT)).rejects.toMatchObject({ code: 'SLUICE_QUEUE_FULL' });
      kit.open();
      expect(await result).toBe(1);
    }),
    deadLetterTo: works(async (kit) => {
      const queue = await kit.on('tasks', FAILING).on(AFTER).start();
      const result = queue.publishAndWait('tasks', 1, WAIT);
      await expect(result).rejects.toMatchObject({ code: 'SLUICE_TASK_FAILED', how: 'dead' });
      expect(await failuresOf(kit, 1)).toMatchObject([{ payload: 1 }]);
    }),
    whenAllSettled: refused('SLUICE_BAD_OPTION', async (start) =>
      (await start()).publishAndWait('tasks', 1, misplaced(WAIT)),
    ),
  },
};
