import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { DropTask, TaskHandler, defineQueue, payload, type QueueEvent, type Task } from '../../../queue/index.js';
import { SluiceTestingModule, TestingQueue } from '../../index.js';

const Exports = defineQueue<string>('exports').returning<string>();
const Files = defineQueue('files', { tasks: { import: payload<string>(), clean: payload<null>() } });

@Injectable()
class Handlers {
  @TaskHandler(Exports, { maxAttempts: 2 })
  async export(task: Task<string>): Promise<string> {
    task.progress({ percent: 10 * task.attempt });
    if (task.payload === 'fail' || (task.payload === 'retry' && task.attempt === 1)) throw new Error('as asked');
    if (task.payload === 'drop') throw new DropTask();
    if (task.payload === 'date') task.progress(new Date());
    await Promise.resolve();
    task.progress({ percent: 100 });
    return 'done';
  }

  @TaskHandler(Files)
  file(task: Task): unknown {
    return task.payload;
  }
}

let app: TestingModule;
let queue: TestingQueue;
let events: QueueEvent[];
let ended: boolean;
beforeEach(async () => {
  app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()], providers: [Handlers] }).compile();
  await app.init();
  queue = app.get(TestingQueue);
  events = [];
  ended = false;
  queue.events(Exports).subscribe({ next: (event) => events.push(event), complete: () => (ended = true) });
});
afterEach(() => app.close());

const types = (): string[] => events.map(({ type }) => type);

it.each<[string, string[]]>([
  ['x', ['started', 'progress', 'progress', 'completed']],
  ['retry', ['started', 'progress', 'retried', 'started', 'progress', 'progress', 'completed']],
  ['fail', ['started', 'progress', 'retried', 'started', 'progress', 'dead']],
  ['drop', ['started', 'progress', 'dropped']],
])('tells what drain does with a task that says %s', async (what, told) => {
  const id = await queue.publish(Exports, what);
  await queue.drain();
  expect(types()).toEqual(told);
  const about = { queue: 'exports', group: 'test', process: 'test', id, at: expect.any(Date) };
  expect(events[0]).toEqual({ ...about, type: 'started', attempt: 1, deliveries: 1 });
  expect(events[1]).toEqual({ ...about, type: 'progress', value: { percent: 10 } });
});

it('tells the publisher that waits, and inspect', async () => {
  const told: unknown[] = [];
  const onProgress = (value: unknown): void => void told.push(value);
  const result = queue.publishAndWait(Exports, 'retry', { onProgress });
  await queue.drain();
  expect([await result, told]).toEqual(['done', [{ percent: 10 }, { percent: 20 }, { percent: 100 }]]);
});

it('a progress that could not be sent fails the run of the test', async () => {
  const id = await queue.publish(Exports, 'date');
  await queue.drain();
  expect(queue.deadTasks(Exports)).toMatchObject([{ id, error: { code: 'SLUICE_QUEUE_UNSERIALIZABLE' } }]);
});

it('has the names of named tasks, and completes with the app', async () => {
  const named: unknown[] = [];
  queue.events(Files).subscribe((event) => named.push('name' in event && event.name));
  await queue.publish(Files.tasks.import, 'x');
  await queue.publish(Files.tasks.clean, null);
  await queue.drain();
  expect(named).toEqual(['import', 'import', 'clean', 'clean']);
  expect(events).toEqual([]);
  await app.close();
  expect(ended).toBe(true);
});
