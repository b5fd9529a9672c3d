import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { TaskHandler, defineQueue, type Task } from '../../queue/index.js';
import { SluiceTestingModule, TestingQueue } from '../index.js';

const Tasks = defineQueue<string>('tasks', { shares: true });

const ran: string[] = [];
const others: string[] = [];
let fails = false;

@Injectable()
class Handlers {
  @TaskHandler(Tasks, { maxAttempts: 1 })
  run(task: Task<string>): void {
    ran.push(task.payload);
    if (fails) throw new Error('thrown by a test on purpose');
  }

  @TaskHandler(Tasks, { group: 'others' })
  others(task: Task<string>): string {
    others.push(task.payload);
    return `${task.payload} of others`;
  }
}

let app: TestingModule;
let queue: TestingQueue;
beforeEach(async () => {
  ran.length = 0;
  others.length = 0;
  fails = false;
  app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()], providers: [Handlers] }).compile();
  await app.init();
  queue = app.get(TestingQueue);
});
afterEach(() => app.close());

it('tasks run by their levels, in one handler, once for each group', async () => {
  await queue.publish(Tasks, 'd', { priority: 'low' });
  await queue.publishMany(Tasks, ['c', 'a'], (each) => ({ priority: each === 'a' ? 'high' : 'normal' }));
  const id = await queue.publish(Tasks, 'b', { priority: 'high' });
  expect(queue.published(Tasks)).toHaveLength(4);
  expect(await queue.inspect(Tasks, id)).toMatchObject({ priority: 'high' });
  expect(await queue.drain()).toEqual({ completed: 8, dead: 0 });
  expect(ran).toEqual(['a', 'b', 'c', 'd']);
  expect(others).toHaveLength(4);
});

it('a dead letter keeps its level when it is brought back', async () => {
  fails = true;
  await queue.publish(Tasks, 'low', { priority: 'low' });
  await queue.drain();
  expect((await queue.dead(Tasks).list()).tasks).toMatchObject([{ priority: 'low' }]);
  fails = false;
  await queue.dead(Tasks).redrive();
  await queue.publish(Tasks, 'normal');
  await queue.drain();
  expect(ran).toEqual(['low', 'normal', 'low']);
});

it('a caller waits for the result of a task of a level', async () => {
  const result = queue.publishAndWait(Tasks.returning<string>(), 'a', { priority: 'low', group: 'others' });
  await queue.drain();
  expect(await result).toBe('a of others');
});

it('a queue without shares refuses a priority', async () => {
  const refused = { code: 'SLUICE_BAD_OPTION' };
  await expect(queue.publish('others', 1, { priority: 'high' })).rejects.toMatchObject(refused);
  await expect(queue.publishAndWait('others', 1, { priority: 'high' })).rejects.toMatchObject(refused);
});
