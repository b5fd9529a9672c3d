import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { DeadLetterTask, DropTask, TaskHandler, defineQueue, payload, type Task } from '../../../queue/index.js';
import { SluiceTestingModule, TestingClock, TestingQueue } from '../../index.js';

const Exports = defineQueue<string>('exports', { history: { completed: 3, failed: 2 } });
const Alerts = defineQueue<number>('alerts', { shares: true, history: { completed: 5 } });
const Ledger = defineQueue<{ account: string }>('ledger', {
  orderingKey: ({ account }) => account,
  history: { completed: 5 },
});
const Files = defineQueue('files', {
  tasks: { import: payload<number>(), export: payload<number>() },
  history: { completed: 5 },
});
const Plain = defineQueue<number>('plain');

@Injectable()
class Handlers {
  @TaskHandler(Exports, { maxAttempts: 2 })
  export({ payload: text, attempt }: Task<string>): unknown {
    if (text === 'fail') throw new Error('as asked');
    if (text === 'dead') throw new DeadLetterTask('no');
    if (text === 'drop') throw new DropTask('not needed');
    if (text === 'retry' && attempt === 1) throw new Error('not yet');
    return { text };
  }

  @TaskHandler(Alerts)
  alert(): string {
    return 'done';
  }

  @TaskHandler(Ledger)
  book(): string {
    return 'done';
  }

  @TaskHandler(Files)
  file(): string {
    return 'done';
  }

  @TaskHandler(Plain)
  plain(): string {
    return 'done';
  }
}

let app: TestingModule;
let queue: TestingQueue;
beforeEach(async () => {
  app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()], providers: [Handlers] }).compile();
  await app.init();
  queue = app.get(TestingQueue);
});
afterEach(() => app.close());

it('records how tasks of a test have ended, the newest so many', async () => {
  const ids = await queue.publishMany(Exports, ['a', 'retry', 'b', 'drop', 'fail', 'dead', 'dead']);
  await app.get(TestingClock).advance(5);
  await queue.drain();
  const { tasks } = await queue.history(Exports);
  expect(tasks).toHaveLength(3);
  // A retry comes after what waits.
  expect(tasks.map(({ payload: text }) => text)).toEqual(['retry', 'drop', 'b']);
  const times = { publishedAt: expect.any(Date), startedAt: expect.any(Date), finishedAt: expect.any(Date), ranMs: 0 };
  const [retried, dropped] = tasks;
  expect(retried).toEqual({
    ...{ id: ids[1], state: 'completed', payload: 'retry', payloadBytes: 7, attempts: 2, deliveries: 1, group: 'test' },
    ...{ worker: 'test', result: { text: 'retry' }, ...times },
  });
  expect(retried!.finishedAt.getTime() - retried!.publishedAt.getTime()).toBeGreaterThanOrEqual(5);
  expect(dropped).toMatchObject({ id: ids[3], reason: 'dropped', error: expect.stringContaining('not needed') });
  expect((await queue.history(Exports, { state: 'failed' })).tasks).toMatchObject([
    { id: ids[4], state: 'failed', attempts: 2, reason: 'max-attempts', error: 'Error: as asked' },
    { id: ids[6], state: 'failed', attempts: 1, reason: 'no' },
  ]);
});

it('is read page by page, and deleted', async () => {
  await queue.publishMany(Exports, ['a', 'b', 'c']);
  await queue.drain();
  const first = await queue.history(Exports, { limit: 2 });
  expect(first.tasks.map(({ payload: text }) => text)).toEqual(['c', 'b']);
  await queue.publish(Exports, 'd');
  await queue.drain();
  // Three are kept: d took the place of a.
  const second = await queue.history(Exports, { limit: 2, after: first.next! });
  expect(second).toEqual({ tasks: [], next: undefined });
  expect(await queue.purge(Exports, 'completed')).toBe(3);
  expect((await queue.history(Exports)).tasks).toEqual([]);
  await expect(queue.history(Exports, { limit: 0 })).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
});

it('has level, key and name, leaves out what is large, and nothing of a queue that keeps nothing', async () => {
  await queue.publish(Alerts, 1, { priority: 'high' });
  await queue.publish(Ledger, { account: 'a' });
  await queue.publish(Files.tasks.export, 2);
  await queue.publish(Plain, 3);
  await queue.publish(Exports, 'x'.repeat(8_191));
  await queue.drain();
  expect((await queue.history(Alerts)).tasks).toMatchObject([{ priority: 'high' }]);
  expect((await queue.history(Ledger)).tasks).toMatchObject([{ orderingKey: 'a' }]);
  expect((await queue.history(Files)).tasks).toMatchObject([{ name: 'export', payload: 2 }]);
  expect((await queue.history(Plain)).tasks).toEqual([]);
  const [large] = (await queue.history(Exports)).tasks;
  expect(large).toMatchObject({ payload: undefined, payloadBytes: 8_193 });
  expect(large).not.toHaveProperty('result');
});
