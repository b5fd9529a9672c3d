import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { TaskHandler, defineQueue, payload, type Task, type TaskOf } from '../../queue/index.js';
import { SluiceTestingModule, TestingQueue } from '../index.js';

const Files = defineQueue('files', { tasks: { import: payload<string>(), export: payload<number>() } });

const ran: string[] = [];
let fails = false;

@Injectable()
class Handlers {
  @TaskHandler(Files.tasks.import, { maxAttempts: 1 })
  import(task: Task<string>): void {
    ran.push(`${task.name} ${task.payload}`);
    if (fails) throw new Error('thrown by a test on purpose');
  }

  @TaskHandler(Files, { group: 'all' })
  all(task: TaskOf<typeof Files>): void {
    ran.push(`all ${task.name === 'import' ? task.payload.length : task.payload}`);
  }
}

let app: TestingModule;
let queue: TestingQueue;
beforeEach(async () => {
  ran.length = 0;
  fails = false;
  app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()], providers: [Handlers] }).compile();
  await app.init();
  queue = app.get(TestingQueue);
});
afterEach(() => app.close());

it('named tasks run in their handlers, and are looked at together and apart', async () => {
  const a = await queue.publish(Files.tasks.import, 'abc');
  const b = await queue.publish(Files.tasks.export, 7);
  expect(queue.published(Files)).toEqual([
    { id: a, payload: 'abc' },
    { id: b, payload: 7 },
  ]);
  expect(await queue.counts(Files)).toMatchObject({
    waiting: 2,
    tasks: { import: { waiting: 1 }, export: { waiting: 1 } },
  });
  expect((await queue.list(Files)).tasks).toMatchObject([
    { id: a, name: 'import' },
    { id: b, name: 'export' },
  ]);
  expect(await queue.drain()).toEqual({ completed: 3, dead: 0 });
  expect(ran.sort()).toEqual(['all 3', 'all 7', 'import abc']);
});

it('a pause of the whole queue holds them all', async () => {
  await queue.publish(Files.tasks.import, 'abc');
  expect(await queue.pause(Files)).toEqual({ changed: true, unconfirmed: [] });
  expect(await queue.counts(Files)).toMatchObject({ paused: true });
  expect(await queue.drain()).toEqual({ completed: 0, dead: 0 });
  expect(await queue.resume(Files.tasks.export)).toBe(true);
  expect(await queue.counts(Files)).toMatchObject({ paused: false, tasks: { import: { paused: true } } });
  expect(await queue.resume(Files)).toBe(true);
  expect(await queue.drain()).toEqual({ completed: 2, dead: 0 });
});

it('their dead letters are brought back together', async () => {
  fails = true;
  await queue.publish(Files.tasks.import, 'abc');
  expect(await queue.drain()).toEqual({ completed: 1, dead: 1 });
  expect(queue.deadTasks(Files)).toMatchObject([{ payload: 'abc' }]);
  expect((await queue.dead(Files).list()).tasks).toMatchObject([{ name: 'import', reason: 'max-attempts' }]);
  fails = false;
  expect(await queue.dead(Files).redrive({ filter: ({ name }) => name === 'export' })).toBe(0);
  expect(await queue.dead(Files).redrive()).toBe(1);
  expect(await queue.drain()).toEqual({ completed: 1, dead: 0 });
});

it('a whole queue is refused where one name is needed', async () => {
  await expect(queue.publish(Files as never, 1)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  await expect(queue.inspect(Files as never, '1-1')).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
});
