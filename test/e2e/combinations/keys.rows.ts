import { expect } from '@jest/globals';
import type { PublishUniqueOptions, QueueService, UniquePublish } from 'nestjs-sluice/queue';
import { noted, works, type Row } from './combination.js';
import { A, B, LONG_MS, type CombinationKit } from './combination.kit.js';

export const SKIP = { key: 'k' } as const;
export const REPLACE = { key: 'k', mode: 'replace' } as const;
export const DEBOUNCE = { key: 'k', mode: 'debounce', windowMs: LONG_MS } as const;
/** Due at once. */
export const DUE = { key: 'k', mode: 'debounce', windowMs: 1 } as const;
export const COLLECT = { key: 'k', waitMs: LONG_MS } as const;
/** Two items are one task, which is due at once. */
export const COLLECT_2 = { key: 'k', waitMs: LONG_MS, max: 2 } as const;

/** The outcomes of publishes, one after the other. */
export async function outcomesOf(...publishes: (() => Promise<UniquePublish>)[]): Promise<string[]> {
  const outcomes: string[] = [];
  for (const publish of publishes) outcomes.push((await publish()).outcome);
  return outcomes;
}

/** Collects 1 and 2 into one task that is due at once. */
export async function collectTwo(queue: QueueService, of = 'tasks'): Promise<void> {
  await queue.collect(of, 1, COLLECT_2);
  await queue.collect(of, 2, COLLECT_2);
}

export const skipRow: Row = {
  feature: 'publishUnique skip',
  with: {
    'named tasks': works(async (kit) => {
      const queue = await kit.on(A, { run: kit.hold }).on(B, { run: kit.hold }).start();
      const publish = (to: typeof A) => () => queue.publishUnique(to, 1, SKIP);
      expect(await outcomesOf(publish(A), publish(A), publish(B))).toEqual(['published', 'skipped', 'published']);
      await kit.untilRan(1, 1);
    }),
  },
};

export const replaceRow: Row = {
  feature: 'publishUnique replace',
  with: {
    'named tasks': works(async (kit) => {
      const queue = await kit.start();
      const publish = (to: typeof A, n: number) => () => queue.publishUnique(to, n, REPLACE);
      const outcomes = await outcomesOf(publish(A, 1), publish(A, 2), publish(B, 3));
      expect(outcomes).toEqual(['published', 'replaced', 'published']);
      await kit.on(A).on(B).start();
      await kit.untilRan(2, 3);
    }),
    'publishUnique skip': noted(async (kit) => {
      const queue = await kit.start();
      const outcomes = await outcomesOf(
        () => queue.publishUnique('tasks', 1, SKIP),
        () => queue.publishUnique('tasks', 2, REPLACE),
        () => queue.publishUnique('tasks', 3, SKIP),
      );
      expect(outcomes).toEqual(['published', 'replaced', 'skipped']);
      await kit.on('tasks').start();
      await kit.untilRan(2);
    }),
  },
};

export const debounceRow: Row = {
  feature: 'publishUnique debounce',
  with: {
    'named tasks': works(async (kit) => {
      const queue = await kit.on(A).on(B).start();
      const publish = (to: typeof A, n: number) => () => queue.publishUnique(to, n, DEBOUNCE);
      const outcomes = await outcomesOf(publish(A, 1), publish(A, 2), publish(B, 3));
      expect(outcomes).toEqual(['published', 'postponed', 'published']);
      await queue.runNow(A, { key: 'k' });
      await queue.runNow(B, { key: 'k' });
      await kit.untilRan(2, 3);
    }),
    'publishUnique skip': noted(async (kit) => {
      const queue = await kit.start();
      const outcomes = await outcomesOf(
        () => queue.publishUnique('tasks', 1, SKIP),
        () => queue.publishUnique('tasks', 2, DEBOUNCE),
        () => queue.publishUnique('tasks', 3, SKIP),
      );
      expect(outcomes).toEqual(['published', 'published', 'skipped']);
      expect(await queue.counts('tasks')).toMatchObject({ waiting: 1, delayed: 1 });
    }),
    'publishUnique replace': noted(async (kit) => {
      const queue = await kit.start();
      const outcomes = await outcomesOf(
        () => queue.publishUnique('tasks', 1, REPLACE),
        () => queue.publishUnique('tasks', 2, DEBOUNCE),
        () => queue.publishUnique('tasks', 3, REPLACE),
      );
      expect(outcomes).toEqual(['published', 'published', 'replaced']);
      expect(await queue.inspect('tasks', { key: 'k' })).toMatchObject({ state: 'delayed', payload: 3 });
    }),
  },
};

/** A publish that would drop what was collected is refused, with Redis and without, and while the task waits in the stream too. */
export async function keepsItems(kit: CombinationKit, options: PublishUniqueOptions): Promise<void> {
  const bad = { code: 'SLUICE_BAD_OPTION' };
  for (const queue of [await kit.start(), (await kit.testing()).queue as unknown as QueueService]) {
    const unique = (key: string): Promise<unknown> => queue.publishUnique('tasks', 'x', { ...options, key });
    await queue.collect('tasks', 1, { ...COLLECT, key: 'items' });
    await expect(unique('items')).rejects.toMatchObject(bad);
    await queue.collect('tasks', 2, { ...COLLECT, key: 'items' });
    await expect(unique('items')).rejects.toMatchObject(bad);
    expect(await queue.inspect('tasks', { key: 'items' })).toMatchObject({ payload: [1, 2] });
    if (options.mode === 'debounce') continue;
    await queue.runNow('tasks', { key: 'items' });
    await expect(unique('items')).rejects.toMatchObject(bad);
  }
}

export const collectRow: Row = {
  feature: 'collect',
  with: {
    'named tasks': works(async (kit) => {
      const queue = await kit.on(A).on(B).start();
      const collect = (to: typeof A, n: number) => () => queue.collect(to as never, n, COLLECT_2);
      expect(await outcomesOf(collect(A, 1), collect(B, 2), collect(A, 3))).toEqual([
        'published',
        'published',
        'collected',
      ]);
      await kit.untilRan([1, 3]);
    }),
    'publishUnique skip': noted(async (kit) => {
      const queue = await kit.start();
      const outcomes = await outcomesOf(
        () => queue.publishUnique('tasks', [1], SKIP),
        () => queue.collect('tasks', 2, COLLECT),
        () => queue.publishUnique('tasks', [3], SKIP),
      );
      expect(outcomes).toEqual(['published', 'published', 'skipped']);
    }),
    'publishUnique replace': noted((kit) => keepsItems(kit, REPLACE)),
    'publishUnique debounce': noted(async (kit) => {
      const queue = await kit.start();
      const outcomes = await outcomesOf(
        () => queue.publishUnique('tasks', [], DEBOUNCE),
        () => queue.collect('tasks', 1, COLLECT),
      );
      expect(outcomes).toEqual(['published', 'collected']);
      expect(await queue.inspect('tasks', { key: 'k' })).toMatchObject({ payload: [1] });
      const other = { ...DEBOUNCE, key: 'other' };
      await queue.publishUnique('tasks', 'a text', other);
      expect((await queue.collect('tasks', 2, { ...COLLECT, key: 'other' })).outcome).toBe('published');
      expect(await queue.inspect('tasks', other)).toMatchObject({ payload: [2] });
      await keepsItems(kit, DEBOUNCE);
    }),
  },
};
