import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { z } from 'zod';
import { DeadLetterTask, SnoozeTask, TaskHandler, defineQueue, type Task } from '../../queue/index.js';
import { SluiceTestingModule, TestingClock, TestingQueue } from '../index.js';

const Numbers = defineQueue('numbers', { schema: z.number() });
const batches: string[] = [];
let run: (tasks: readonly Task<number>[]) => unknown;

@Injectable()
class Handlers {
  @TaskHandler(Numbers, { batch: { max: 3, waitMs: 60_000 }, maxAttempts: 2 })
  handle(tasks: readonly Task<number>[]): unknown {
    batches.push(tasks.map(({ payload, attempt }) => (attempt === 1 ? payload : `${payload} (${attempt})`)).join(' '));
    return run(tasks);
  }

  @TaskHandler(Numbers, { group: 'single' })
  single(task: Task<number>): number {
    return task.payload;
  }
}

let app: TestingModule;
let queue: TestingQueue;
beforeEach(async () => {
  batches.length = 0;
  run = () => {};
  app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()], providers: [Handlers] }).compile();
  await app.init();
  queue = app.get(TestingQueue);
});
afterEach(() => app.close());

it('a handler of batches gets what waits, up to max, beside the other group', async () => {
  await queue.publishMany(Numbers, [1, 2, 3, 4]);
  expect(await queue.drain()).toEqual({ completed: 8, dead: 0 });
  expect(batches).toEqual(['1 2 3', '4']);
});

it('a task that fails alone is tried again, and is dead after its attempts', async () => {
  run = ([first]) => {
    if (first!.payload === 1) first!.fail(new Error('never'));
  };
  await queue.publishMany(Numbers, [1, 2]);
  expect(await queue.drain()).toEqual({ completed: 3, dead: 1 });
  expect(batches).toEqual(['1 2', '1 (2)']);
  expect(queue.deadTasks(Numbers)).toMatchObject([{ payload: 1, error: { message: 'never' } }]);
});

it('a throw fails the others, and each is settled by its own error', async () => {
  run = ([first, second]) => {
    if (batches.length > 1) return;
    first!.fail(new SnoozeTask({ delayMs: 1_000 }));
    second!.fail(new DeadLetterTask('gone'));
    throw new Error('common');
  };
  await queue.publishMany(Numbers, [1, 2, 3]);
  expect(await queue.drain()).toEqual({ completed: 4, dead: 1 });
  expect(batches).toEqual(['1 2 3', '3 (2)']);
  await app.get(TestingClock).advance(1_000);
  expect(await queue.drain()).toMatchObject({ completed: 1 });
  expect(batches).toEqual(['1 2 3', '3 (2)', '1']);
});

it('a task that is cancelled while its batch runs is dropped if it fails, and no other', async () => {
  const ids = await queue.publishMany(Numbers, [1, 2]);
  const aborted: boolean[] = [];
  run = async (tasks) => {
    if (batches.length > 1) return;
    await queue.cancel(Numbers, ids[0]!);
    aborted.push(...tasks.map(({ signal }) => signal.aborted));
    throw new Error('stopped');
  };
  await queue.drain();
  expect(aborted).toEqual([true, false]);
  expect(batches).toEqual(['1 2', '2 (2)']);
});
