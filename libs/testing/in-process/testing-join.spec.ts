import { afterEach, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { handlerProvider, type TestHandler } from '../../../test/support/queue-app.js';
import { defineQueue, type SettledTasks } from '../../queue/index.js';
import { SluiceTestingModule, TestingQueue } from '../index.js';

let app: TestingModule | undefined;
afterEach(() => app?.close());

const start = async (...handlers: Record<string, TestHandler>[]): Promise<TestingQueue> => {
  app = await Test.createTestingModule({
    imports: [SluiceTestingModule.forRoot()],
    providers: handlers.map((each) => handlerProvider(each)),
  }).compile();
  await app.init();
  return app.get(TestingQueue);
};
const Settled = defineQueue<SettledTasks<string>>('settled');
const whenAllSettled = { queue: Settled, payload: 'all' };
const counts = (queue: TestingQueue): unknown[] => queue.published(Settled).map(({ payload }) => payload.counts);

describe('whenAllSettled in a test', () => {
  it('runs what follows in the same drain, in any queue, for there are no slots', async () => {
    const told: unknown[] = [];
    const queue = await start({ tasks: () => {}, settled: ({ payload }) => void told.push(payload) });
    await queue.publishMany('tasks', [1, 2], { whenAllSettled });
    expect(await queue.drain()).toEqual({ completed: 3, dead: 0 });
    expect(told).toEqual([{ payload: 'all', counts: { total: 2, completed: 2, failed: 0, removed: 0 } }]);
  });

  it('counts a task that is cancelled while it runs, and one that is purged', async () => {
    const queue: TestingQueue = await start({
      tasks: async ({ id }) => {
        await queue.cancel('tasks', id);
        throw new Error('aborted');
      },
      settled: () => {},
    });
    await queue.publishMany('tasks', [1], { whenAllSettled });
    await queue.drain();
    expect(counts(queue)).toEqual([{ total: 1, completed: 0, failed: 0, removed: 1 }]);
    await queue.publishMany('tasks', [1, 2], { whenAllSettled });
    await queue.purge('tasks', 'waiting');
    expect(counts(queue)[1]).toEqual({ total: 2, completed: 0, failed: 0, removed: 2 });
  });

  it('is refused for several groups, and for a maxLength', async () => {
    const of = (group: string): Record<string, TestHandler> => ({ tasks: { run: () => {}, options: { group } } });
    const queue = await start(of('a'), of('b'));
    await expect(queue.publishMany('tasks', [1], { whenAllSettled })).rejects.toThrow(
      "Queue 'tasks' is read by 'a', 'b'",
    );
    const Limited = defineQueue<string>('limited', { maxLength: { limit: 9 } });
    await expect(queue.publishMany(Limited, ['a'], { whenAllSettled })).rejects.toThrow('with a maxLength');
    expect(queue.published('tasks')).toEqual([]);
  });
});
