import { expect } from '@jest/globals';
import type { QueueService } from 'nestjs-sluice/queue';
import { noted, refused, works, type Row } from './combination.js';
import { A, B, Files, LONG_MS } from './combination.kit.js';
import { COLLECT, DEBOUNCE, DUE, REPLACE, SKIP, collectTwo, outcomesOf } from './keys.rows.js';

/** Publishes one task of a schedule that is not due by itself. */
export async function runSchedule(queue: QueueService, payload: unknown, of = 'tasks'): Promise<string> {
  const schedules = queue.schedules(of);
  await schedules.upsert('s', '0 0 1 1 *', payload);
  return (await schedules.runNow('s')) ?? '';
}

export const delaysRow: Row = {
  feature: 'delays',
  with: {
    'named tasks': works(async (kit) => {
      const queue = await kit.on(A).on(B).start();
      await queue.publish(A, 1, { delayMs: 5 });
      await queue.publish(B, 2, { delayMs: LONG_MS });
      await kit.untilRan(1);
      expect(await queue.counts(Files)).toMatchObject({ delayed: 1 });
    }),
    'publishUnique skip': works(async (kit) => {
      const queue = await kit.on('tasks').start();
      const publish = () => queue.publishUnique('tasks', 1, { ...SKIP, delayMs: LONG_MS });
      expect(await outcomesOf(publish, publish)).toEqual(['published', 'skipped']);
      expect(await queue.runNow('tasks', { key: 'k' })).toBe(true);
      await kit.untilRan(1);
    }),
    'publishUnique replace': noted(async (kit) => {
      const queue = await kit.on('tasks').start();
      const outcomes = await outcomesOf(
        () => queue.publishUnique('tasks', 1, { ...REPLACE, delayMs: LONG_MS }),
        () => queue.publishUnique('tasks', 2, REPLACE),
      );
      expect(outcomes).toEqual(['published', 'replaced']);
      expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, delayed: 1 });
      await queue.runNow('tasks', { key: 'k' });
      await kit.untilRan(2);
    }),
    'publishUnique debounce': refused('SLUICE_BAD_OPTION', async (start) => {
      const queue = await start();
      return queue.publishUnique('tasks', 1, { ...DEBOUNCE, delayMs: 5 });
    }),
    collect: refused('SLUICE_BAD_OPTION', async (start) => {
      const queue = await start();
      return queue.collect('tasks', 1, { ...COLLECT, delayMs: 5 } as never);
    }),
  },
};

export const schedulesRow: Row = {
  feature: 'schedules',
  with: {
    'named tasks': noted(async (kit) => {
      await kit.on(A, { schedule: ['s', { everyMs: 1_000 }, 'due'] }).start();
      expect((await kit.ranOn(A.name, 1))[0]).toBe('due');
      kit.forget();
      kit.on(Files, { schedule: ['s', { everyMs: 1_000 }, 'due'] });
      await expect(kit.start()).rejects.toMatchObject({ code: 'SLUICE_BAD_DECORATION' });
    }),
    'publishUnique skip': noted(async (kit) => {
      const queue = await kit.on('tasks', { run: kit.hold }).start();
      await runSchedule(queue, 'due');
      expect(await outcomesOf(() => queue.publishUnique('tasks', 1, SKIP))).toEqual(['published']);
      await kit.untilRan('due', 1);
    }),
    'publishUnique replace': works(async (kit) => {
      const queue = await kit.start();
      await runSchedule(queue, 'due');
      const publish = () => queue.publishUnique('tasks', 1, REPLACE);
      expect(await outcomesOf(publish, publish)).toEqual(['published', 'replaced']);
      await kit.on('tasks').start();
      await kit.untilRan('due', 1);
    }),
    'publishUnique debounce': works(async (kit) => {
      const queue = await kit.on('tasks').start();
      await runSchedule(queue, 'due');
      await queue.publishUnique('tasks', 1, DUE);
      await kit.untilRan('due', 1);
    }),
    collect: works(async (kit) => {
      const queue = await kit.on('tasks').start();
      await runSchedule(queue, ['due']);
      await collectTwo(queue);
      await kit.untilRan(['due'], [1, 2]);
    }),
    delays: works(async (kit) => {
      const queue = await kit.on('tasks').start();
      await queue.publish('tasks', 'late', { delayMs: LONG_MS });
      await runSchedule(queue, 'due');
      await kit.untilRan('due');
      expect(await queue.counts('tasks')).toMatchObject({ delayed: 1 });
    }),
  },
};
