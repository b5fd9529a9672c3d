import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { DropTask, TaskHandler, defineQueue, type StandardSchema, type Task } from '../../../queue/index.js';
import { SluiceTestingModule, TestingClock, TestingQueue } from '../../index.js';

const Orders = defineQueue<string>('orders');
const Batches = defineQueue<string>('{orders}.batches');
const later = { issues: [{ message: 'too early' }] };
const schema: StandardSchema<string> = {
  '~standard': {
    version: 1,
    vendor: 'spec',
    validate: async (value) => Promise.resolve(value === 'refused' ? later : { value: value as string }),
  },
};
const Invoices = defineQueue('{orders}.invoices', { schema });

@Injectable()
class Handlers {
  readonly invoices: string[] = [];
  late: Task | undefined;

  @TaskHandler(Orders, { maxAttempts: 2 })
  pay(task: Task<string>): void {
    task.onAck([['incrby', '{orders}:paid', 1]]);
    task.next(Invoices, task.payload, task.payload === 'later' ? { delayMs: 60_000 } : {});
    this.late = task;
    if (task.payload === 'fails' || (task.payload === 'again' && task.attempt === 1)) throw new Error('on purpose');
    if (task.payload === 'dropped') throw new DropTask();
    if (task.payload === 'elsewhere') task.next('elsewhere', 1);
  }

  @TaskHandler(Invoices)
  write(task: Task<string>): void {
    this.invoices.push(task.payload);
  }

  @TaskHandler(Batches, { batch: { max: 10 }, maxAttempts: 1 })
  batch(tasks: readonly Task<string>[]): void {
    for (const task of tasks) {
      task.next(Invoices, task.payload);
      task.onAck([['sadd', '{orders}:batch', task.payload]]);
      if (task.payload === 'fails') task.fail(new Error('alone'));
    }
  }
}

let app: TestingModule;
let queue: TestingQueue;
let handlers: Handlers;
beforeEach(async () => {
  app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()], providers: [Handlers] }).compile();
  await app.init();
  queue = app.get(TestingQueue);
  handlers = app.get(Handlers);
});
afterEach(() => app.close());

it('tasks that follow run, and writes are listed, once for each acknowledgement', async () => {
  await queue.publishMany(Orders, ['a', 'again']);
  expect(await queue.drain()).toEqual({ completed: 4, dead: 0 });
  expect(handlers.invoices).toEqual(['a', 'again']);
  expect(queue.written).toEqual([
    ['incrby', '{orders}:paid', 1],
    ['incrby', '{orders}:paid', 1],
  ]);
});

it.each(['fails', 'dropped', 'refused'])('what a run noted that failed is dropped: %s', async (payload) => {
  await queue.publish(Orders, payload);
  await queue.drain();
  expect(queue.published(Invoices)).toEqual([]);
  expect(queue.written).toEqual([]);
  expect(queue.deadTasks(Orders).length).toBe(payload === 'dropped' ? 0 : 1);
});

it('any queue will do: there are no slots', async () => {
  await queue.publish(Orders, 'elsewhere');
  expect(await queue.drain().catch((error: unknown) => error)).toMatchObject({ code: 'SLUICE_QUEUE_NO_HANDLER' });
  expect(queue.published('elsewhere').length).toBe(1);
});

it('a task that follows later waits for its time', async () => {
  await queue.publish(Orders, 'later');
  await queue.drain();
  expect([queue.published(Invoices).length, handlers.invoices]).toEqual([1, []]);
  await app.get(TestingClock).advance(60_000);
  await queue.drain();
  expect(handlers.invoices).toEqual(['later']);
});

it('of a batch, one that fails alone drops its own, also by what follows it', async () => {
  await queue.publishMany(Batches, ['a', 'fails', 'refused', 'b']);
  await queue.drain();
  expect(handlers.invoices).toEqual(['a', 'b']);
  expect(queue.written.map(([, , member]) => member)).toEqual(['a', 'b']);
  expect(queue.deadTasks(Batches).map(({ payload }) => payload)).toEqual(['fails', 'refused']);
});

it('a run that has ended notes nothing any more', async () => {
  await queue.publish(Orders, 'a');
  await queue.drain();
  expect(() => handlers.late?.next(Invoices, 'b')).toThrow(expect.objectContaining({ code: 'SLUICE_TASK_ENDED' }));
});
