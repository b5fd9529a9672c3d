import { describe, expect, it } from '@jest/globals';
import { HistoryBed } from '../../../test/support/history-bed.js';
import { until } from '../../../test/support/until.js';
import { DeadLetterTask, DropTask, SnoozeTask, defineQueue, payload, type Task } from '../index.js';

const bed = new HistoryBed();
const keysOfHistory = async (): Promise<string[]> => (await bed.admin.keys('*history*')).sort();

describe('the history of a queue', () => {
  it('has what a completed task was, when and where it ran, and what its handler returned', async () => {
    let failures = 2;
    const app = await bed.handle(async ({ payload: { n } }: Task<{ n: number }>) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (failures-- > 0) throw new Error('not yet');
      return { twice: 2 * n };
    });
    const beforeMs = Date.now() - 1_000;
    const id = await app.queue.publish('tasks', { n: 21 });
    const [task] = await bed.untilRecorded(app, 1);
    expect(task).toEqual({
      ...{ id, state: 'completed', payload: { n: 21 }, payloadBytes: 8, attempts: 3, deliveries: 1, group: 'sluice' },
      ...{ worker: `sluice:${app.connections.processId}`, result: { twice: 42 }, ranMs: expect.any(Number) },
      ...{ publishedAt: expect.any(Date), startedAt: expect.any(Date), finishedAt: expect.any(Date) },
    });
    const { publishedAt, startedAt, finishedAt, ranMs = 0 } = task!;
    expect(publishedAt.getTime()).toBeGreaterThanOrEqual(beforeMs);
    expect(startedAt!.getTime()).toBeGreaterThanOrEqual(publishedAt.getTime());
    // The run took 5 ms, of which a timer may save one.
    expect(ranMs).toBeGreaterThanOrEqual(4);
    expect(finishedAt.getTime() - startedAt!.getTime()).toBeGreaterThanOrEqual(ranMs - 1);
    expect(finishedAt.getTime()).toBeLessThanOrEqual(Date.now() + 1_000);
    expect((await app.queue.history('tasks', { state: 'failed' })).tasks).toEqual([]);
  });

  it('has why a task failed for good, and keeps it when the dead letter is gone', async () => {
    const app = await bed.handle(
      ({ payload }: Task<string>) => {
        throw payload === 'sold' ? new DeadLetterTask('sold out') : new TypeError('no such thing');
      },
      { maxAttempts: 2 },
    );
    const ids = [await app.queue.publish('tasks', 'thing')];
    await bed.untilRecorded(app, 1, 'failed');
    ids.push(await app.queue.publish('tasks', 'sold'));
    const tasks = await bed.untilRecorded(app, 2, 'failed');
    expect(tasks).toMatchObject([
      { id: ids[1], state: 'failed', payload: 'sold', attempts: 1, reason: 'sold out' },
      { id: ids[0], payload: 'thing', attempts: 2, reason: 'max-attempts', error: 'TypeError: no such thing' },
    ]);
    expect(tasks.every(({ startedAt, ranMs }) => startedAt !== undefined && ranMs !== undefined)).toBe(true);
    await app.queue.dead('tasks').purge();
    expect(await bed.untilRecorded(app, 2, 'failed')).toHaveLength(2);
    expect((await app.queue.history('tasks')).tasks).toEqual([]);
  });

  it('has a redriven task twice: as it failed, and as it was done', async () => {
    let fails = true;
    const app = await bed.handle(
      () => {
        if (fails) throw new Error('no');
      },
      { maxAttempts: 1 },
    );
    const id = await app.queue.publish('tasks', 1);
    await bed.untilRecorded(app, 1, 'failed');
    fails = false;
    expect(await app.queue.dead('tasks').redrive()).toBe(1);
    expect(await bed.untilRecorded(app, 1)).toMatchObject([{ id, payload: 1, attempts: 1 }]);
    expect(await bed.untilRecorded(app, 1, 'failed')).toMatchObject([{ id, reason: 'max-attempts' }]);
  });

  it('has a dropped task among the completed ones, with the reason', async () => {
    const app = await bed.handle(() => {
      throw new DropTask('not\nneeded');
    });
    const id = await app.queue.publish('tasks', 1);
    const [task] = await bed.untilRecorded(app, 1);
    expect(task).toMatchObject({ id, state: 'completed', reason: 'dropped' });
    expect(task?.error).toContain('not\nneeded');
    expect(task).not.toHaveProperty('result');
  });

  it('has no task that is put off, tried again, cancelled, removed or purged', async () => {
    let seen = 0;
    const app = await bed.handle(async (task: Task<string>) => {
      if (task.payload === 'snooze' && seen++ === 0) throw new SnoozeTask({ delayMs: 1 });
      if (task.payload === 'retry' && task.attempt === 1) throw new Error('again');
      if (task.payload !== 'cancel') return;
      await new Promise((resolve) => {
        task.signal.addEventListener('abort', resolve);
      });
      throw new Error('aborted');
    });
    const [, , cancelled = ''] = await app.queue.publishMany('tasks', ['snooze', 'retry', 'cancel']);
    const later = await app.queue.publish('tasks', 'removed', { delayMs: 1_000_000 });
    await app.queue.publish('tasks', 'purged', { delayMs: 1_000_000 });
    await until(async () => (await app.queue.inspect('tasks', cancelled))?.state === 'running', { what: 'it runs' });
    expect(await app.queue.cancel('tasks', cancelled)).toBe('aborting');
    expect(await app.queue.remove('tasks', later)).toBe(true);
    expect(await app.queue.purge('tasks', 'delayed')).toBeGreaterThanOrEqual(1);
    await bed.untilSettled();
    const tasks = await bed.untilRecorded(app, 2);
    expect(tasks.map(({ payload }) => payload).sort()).toEqual(['retry', 'snooze']);
    expect((await app.queue.history('tasks', { state: 'failed' })).tasks).toEqual([]);
  });

  it('has exactly the newest ones, in the order in which they ended, page by page', async () => {
    const app = await bed.handle(
      ({ payload }: Task<number>) => {
        if (payload >= 50) throw new DeadLetterTask('odd');
      },
      { concurrency: 1 },
      { queues: { tasks: { history: { completed: 20, failed: 7 } } } },
    );
    await app.queue.publishMany(
      'tasks',
      Array.from({ length: 100 }, (_, n) => n),
    );
    await until(async () => (await app.queue.counts('tasks')).dead === 50, { what: 'all have ended' });
    await bed.untilSettled();
    expect(await bed.admin.xlen('{tasks}:~history-completed')).toBe(20);
    expect(await bed.admin.xlen('{tasks}:~history-failed')).toBe(7);
    const all: unknown[] = [];
    for (let after: string | undefined, pages = 0; ; pages++) {
      const { tasks, next } = await app.queue.history('tasks', { limit: 8, ...(after && { after }) });
      all.push(...tasks.map(({ payload }) => payload));
      if (next === undefined) {
        expect(pages).toBe(2);
        break;
      }
      after = next;
    }
    expect(all).toEqual(Array.from({ length: 20 }, (_, i) => 49 - i));
    const failed = await app.queue.history('tasks', { state: 'failed', limit: 1_000 });
    expect(failed.tasks.map(({ payload }) => payload)).toEqual([99, 98, 97, 96, 95, 94, 93]);
    expect(failed.next).toBeUndefined();
  });

  it('leaves out a payload or a result of more than 8 KB, and a result that is no JSON', async () => {
    const large = 'x'.repeat(8_191);
    const app = await bed.handle(
      ({ payload }: Task<string>) => (payload === 'function' ? () => {} : payload === 'nothing' ? undefined : payload),
      { concurrency: 1 },
    );
    await app.queue.publishMany('tasks', [large, large.slice(1), 'function', 'nothing']);
    const tasks = await bed.untilRecorded(app, 4);
    expect(tasks.map(({ payload, payloadBytes, result }) => [payload, payloadBytes, result])).toEqual([
      ['nothing', 9, undefined],
      ['function', 10, undefined],
      // With its quotes: 8,192 bytes, and one more.
      [large.slice(1), 8_192, large.slice(1)],
      [undefined, 8_193, undefined],
    ]);
    const records = await bed.admin.xrange('{tasks}:~history-completed', '-', '+');
    expect(records).toHaveLength(4);
    expect(JSON.stringify(records)).not.toContain(large);
  });

  it('shows what other software published: without a time, and what cannot be read', async () => {
    const app = await bed.handle(() => 'done');
    const first = (await bed.admin.xadd('tasks', '*', 'x', 'y', 'payload', '{"n":1}'))!;
    const second = (await bed.admin.xadd('tasks', '*', 'payload', 'no JSON', 'timestamp', 'soon'))!;
    const [done] = await bed.untilRecorded(app, 1);
    const [bad] = await bed.untilRecorded(app, 1, 'failed');
    expect(done).toMatchObject({ id: first, payload: { n: 1 }, result: 'done' });
    expect(bad).toMatchObject({ id: second, payload: 'no JSON', reason: 'bad-payload', attempts: 0 });
    expect(bad).not.toHaveProperty('startedAt');
    for (const { publishedAt, finishedAt } of [done!, bad!]) {
      expect(Math.abs(finishedAt.getTime() - publishedAt.getTime())).toBeLessThan(600_000);
    }
  });

  it('has an end of each group, and the level of a task', async () => {
    const Levelled = defineQueue<number>('tasks', { shares: true, history: { completed: 10, failed: 10 } });
    const first = await bed.handle(() => {}, { group: 'one' }, { definition: Levelled, queues: {} });
    const options = { definition: Levelled, queues: {} };
    await bed.handle(() => Promise.reject(new DeadLetterTask('two')), { group: 'two' }, options);
    const ids = [
      await first.queue.publish(Levelled, 1, { priority: 'low' }),
      await first.queue.publish(Levelled, 2),
      await first.queue.publish(Levelled, 3, { priority: 'high' }),
    ];
    const shown = async (state: 'completed' | 'failed'): Promise<unknown[]> =>
      (await bed.untilRecorded(first, 3, state))
        .map(({ id, priority, group }) => [ids.indexOf(id), priority, group])
        .sort();
    expect(await shown('completed')).toEqual([
      [0, 'low', 'one'],
      [1, 'normal', 'one'],
      [2, 'high', 'one'],
    ]);
    expect(await shown('failed')).toEqual([
      [0, 'low', 'two'],
      [1, 'normal', 'two'],
      [2, 'high', 'two'],
    ]);
    expect(await keysOfHistory()).toEqual(['{tasks}:~history-completed', '{tasks}:~history-failed']);
  });

  it('is kept for each named task, and shown for all of them', async () => {
    const Files = defineQueue('files', {
      tasks: { import: payload<number>(), export: payload<number>() },
      history: { completed: 2 },
    });
    const run = (): void => {};
    const definition = (queue: unknown): never => queue as never;
    const app = await bed.start({
      handlers: {
        imports: { run, options: { concurrency: 1 }, definition: definition(Files.tasks.import) },
        exports: { run, definition: definition(Files.tasks.export) },
      },
      queue: { queues: { 'files.export': { history: { failed: 5 } } } },
    });
    await app.queue.publishMany(Files.tasks.import, [1, 2, 3]);
    await app.queue.publish(Files.tasks.export, 4);
    const page = (after?: string): ReturnType<typeof app.queue.history> =>
      app.queue.history(Files, { limit: 2, ...(after && { after }) });
    await until(async () => (await page()).tasks[0]?.payload === 3, { what: 'the imports are done' });
    const { tasks, next } = await page();
    expect(tasks.map(({ name, payload: n }) => [name, n])).toEqual([
      ['import', 3],
      ['import', 2],
    ]);
    await until(async () => (await page(next)).tasks.length === 1, { what: 'the export is done' });
    expect((await page(next)).tasks).toMatchObject([{ name: 'export', payload: 4 }]);
    expect(await app.queue.purge(Files, 'completed')).toBe(3);
    expect(await keysOfHistory()).toEqual([]);
  });

  it('is deleted by purge, each kind by itself', async () => {
    const app = await bed.handle(({ payload: n }: Task<number>) => {
      if (n > 1) throw new DeadLetterTask('no');
    });
    await app.queue.publishMany('tasks', [0, 1, 2]);
    await bed.untilRecorded(app, 2);
    await bed.untilRecorded(app, 1, 'failed');
    expect(await app.queue.purge('tasks', 'completed')).toBe(2);
    expect(await app.queue.purge('tasks', 'completed')).toBe(0);
    expect(await keysOfHistory()).toEqual(['{tasks}:~history-failed']);
    expect((await app.queue.counts('tasks')).dead).toBe(1);
    expect(await app.queue.purge('tasks', 'failed')).toBe(1);
    expect((await app.queue.counts('tasks')).dead).toBe(1);
  });

  it('does not exist unless it is asked for, and one kind can be kept alone', async () => {
    const run = ({ payload: n }: Task<number>): void => {
      if (n > 1) throw new DeadLetterTask('no');
    };
    const plain = await bed.handle(run, {}, { queues: {} });
    await plain.queue.publishMany('tasks', [1, 2]);
    await until(async () => (await plain.queue.counts('tasks')).dead === 1, { what: 'it failed' });
    await bed.untilSettled();
    expect(await keysOfHistory()).toEqual([]);
    expect(await plain.queue.history('tasks')).toEqual({ tasks: [], next: undefined });
    await plain.app.close();
    const app = await bed.handle(run, {}, { queues: { tasks: { history: { failed: 3 } } } });
    await app.queue.publishMany('tasks', [1, 2]);
    await bed.untilRecorded(app, 1, 'failed');
    await bed.untilSettled();
    expect(await keysOfHistory()).toEqual(['{tasks}:~history-failed']);
  });
});
