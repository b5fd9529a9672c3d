import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { z } from 'zod';
import { DropTask, QueueService, TaskHandler, defineQueue, type Task } from '../../../queue/index.js';
import { SluiceTestingModule, TestingClock, TestingQueue } from '../../index.js';

const Sums = defineQueue<number[]>('sums').returning<number>();
const Doubles = defineQueue<number>('doubles').returning<number>();
const Odds = defineQueue<string>('odds');
const Audits = defineQueue<string>('audits');

@Injectable()
class Handlers {
  constructor(private readonly queue: QueueService) {}

  @TaskHandler(Sums)
  async sum(task: Task<number[]>): Promise<number> {
    let sum = 0;
    for (const n of task.payload) sum += await this.queue.publishAndWait(Doubles, n);
    return sum;
  }

  @TaskHandler(Doubles, { maxAttempts: 1 })
  double(task: Task<number>): number {
    if (task.payload < 0) throw new Error('thrown by a test on purpose');
    return 2 * task.payload;
  }

  @TaskHandler(Odds)
  odd(task: Task<string>): Date {
    if (task.payload === 'drop') throw new DropTask();
    return new Date();
  }

  @TaskHandler(Audits, { group: 'a' })
  a(): string {
    return 'a';
  }

  @TaskHandler(Audits, { group: 'b' })
  b(): string {
    return 'b';
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

it('a handler that waits for other tasks has them run at once', async () => {
  const sum = queue.publishAndWait(Sums, [1, 2, 3]);
  expect(await queue.drain()).toEqual({ completed: 4, dead: 0 });
  expect(await sum).toBe(12);
});

it('a failure of such a task fails the handler that waits', async () => {
  const failed = queue.publishAndWait(Sums, [-1], { maxAttempts: 1 }).catch((error: unknown) => error);
  expect(await queue.drain()).toEqual({ completed: 0, dead: 2 });
  expect(await failed).toMatchObject({ code: 'SLUICE_TASK_FAILED', reason: 'max-attempts' });
});

it('drain waits for a payload that is being checked', async () => {
  const schema = z.number().refine(async (n) => (await Promise.resolve(n)) > 0);
  const result = queue.publishAndWait(defineQueue('doubles', { schema }), 7);
  await queue.drain();
  expect(await result).toBe(14);
});

it('a task that is dropped, or whose result cannot be sent, ends its wait', async () => {
  const ends = Promise.allSettled([queue.publishAndWait(Odds, 'drop'), queue.publishAndWait(Odds, 'date')]);
  expect(await queue.drain()).toEqual({ completed: 2, dead: 0 });
  expect(await ends).toMatchObject([
    { reason: { code: 'SLUICE_TASK_FAILED', how: 'dropped', attempts: 0 } },
    { reason: { code: 'SLUICE_TASK_BAD_RESULT', queue: 'odds' } },
  ]);
});

it('the result is that of the group that counts', async () => {
  const results = Promise.all([queue.publishAndWait(Audits, ''), queue.publishAndWait(Audits, '', { group: 'b' })]);
  await queue.drain();
  expect(await results).toEqual(['a', 'b']);
});

it('a wait ends by the clock of the test, by its signal, or with the app', async () => {
  const caller = new AbortController();
  const ends = Promise.allSettled([
    queue.publishAndWait(Doubles, 1, { timeoutMs: 60_000 }),
    queue.publishAndWait(Doubles, 2, { timeoutMs: 600_000, signal: caller.signal }),
    queue.publishAndWait(Doubles, 3, { timeoutMs: 600_000 }),
  ]);
  await app.get(TestingClock).advance(60_000);
  caller.abort(new Error('not any more'));
  await app.close();
  expect(await ends).toMatchObject([
    { reason: { code: 'SLUICE_TASK_WAIT_TIMEOUT', timeoutMs: 60_000 } },
    { reason: { message: 'not any more' } },
    { reason: { code: 'SLUICE_CLOSED' } },
  ]);
  expect(queue.published(Doubles)).toHaveLength(3);
});
