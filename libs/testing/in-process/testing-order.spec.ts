import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import {
  DeadLetterTask,
  RetryTask,
  SnoozeTask,
  TaskHandler,
  defineQueue,
  type QueueDefinition,
  type Task,
} from '../../queue/index.js';
import { SluiceTestingModule, TestingClock, TestingQueue } from '../index.js';

interface Keyed {
  key: string;
  n: number;
}
const Ordered = defineQueue<Keyed>('ordered', { orderingKey: ({ key }) => key });
const Stopping = defineQueue<Keyed>('stopping', { orderingKey: ({ key }) => key, afterDeadLetter: 'stop' });

const runs: string[] = [];
let body: (task: Task<Keyed>) => unknown = () => {};

@Injectable()
class Handlers {
  @TaskHandler(Ordered)
  ordered(task: Task<Keyed>): unknown {
    return run(task);
  }

  @TaskHandler(Stopping, { maxAttempts: 1 })
  stopping(task: Task<Keyed>): unknown {
    return run(task);
  }
}

function run(task: Task<Keyed>): unknown {
  runs.push(`${task.payload.key}${task.payload.n}`);
  return body(task);
}

let app: TestingModule;
async function start(): Promise<{ queue: TestingQueue; clock: TestingClock }> {
  runs.length = 0;
  body = () => {};
  app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()], providers: [Handlers] }).compile();
  await app.init();
  return { queue: app.get(TestingQueue), clock: app.get(TestingClock) };
}
afterEach(() => app.close());

const publish = (queue: TestingQueue, to: QueueDefinition<Keyed>, ...of: string[]): Promise<string[]> =>
  queue.publishMany(
    to,
    of.map((each) => ({ key: each[0]!, n: Number(each.slice(1)) })),
  );

describe('an ordered queue in a test', () => {
  it('lets the tasks of a key wait for one that is put off, and those of others go on', async () => {
    const { queue, clock } = await start();
    body = ({ payload: { key, n }, attempt }) => {
      if (key === 'a' && n === 0 && runs.length < 3) throw new SnoozeTask({ delayMs: 1_000 });
      if (key === 'b' && n === 0 && attempt === 1) throw new RetryTask({ delayMs: 2_000 });
      if (key === 'c' && n === 0 && attempt < 3) throw new Error('as asked');
    };
    await publish(queue, Ordered, 'a0', 'b0', 'c0', 'a1', 'b1', 'c1', 'd0');
    await queue.drain();
    expect(runs).toEqual(['a0', 'b0', 'c0', 'd0', 'c0', 'c0', 'c1']);
    await clock.advance(1_000);
    await queue.drain();
    expect(runs.slice(7)).toEqual(['a0', 'a1']);
    await clock.advance(1_000);
    await queue.drain();
    expect(runs.slice(9)).toEqual(['b0', 'b1']);
  });

  it('counts a delayed task from when it is due', async () => {
    const { queue, clock } = await start();
    await queue.publish(Ordered, { key: 'a', n: 1 }, { delayMs: 500 });
    await clock.advance(100);
    await queue.publish(Ordered, { key: 'a', n: 0 });
    await clock.advance(1_000);
    await queue.drain();
    expect(runs).toEqual(['a0', 'a1']);
  });

  it("stops a key after a dead letter with 'stop', until it is redriven or deleted", async () => {
    const { queue } = await start();
    body = ({ payload: { n } }) => {
      if (n === 0 && runs.filter((each) => each.endsWith('0')).length < 3) throw new DeadLetterTask('no');
    };
    await publish(queue, Stopping, 'a0', 'a1', 'b0', 'b1');
    expect(await queue.drain()).toEqual({ completed: 0, dead: 2 });
    const [first, second] = (await queue.dead(Stopping).list()).tasks;
    expect(first!.payload).toEqual({ key: 'a', n: 0 });
    await queue.dead(Stopping).redrive({ filter: ({ id }) => id === first!.id });
    await queue.drain();
    expect(runs).toEqual(['a0', 'b0', 'a0', 'a1']);
    await queue.remove(Stopping, second!.id);
    await queue.drain();
    expect(runs.slice(4)).toEqual(['b1']);
  });

  it('goes on after a dead letter otherwise', async () => {
    const { queue } = await start();
    body = ({ payload: { n } }) => {
      if (n === 0) throw new DeadLetterTask('no');
    };
    await publish(queue, Ordered, 'a0', 'a1');
    await queue.drain();
    expect(runs).toEqual(['a0', 'a1']);
  });

  it('refuses what has no order', async () => {
    const { queue } = await start();
    await expect(queue.publishUnique(Ordered, { key: 'a', n: 0 }, { key: 'x' })).rejects.toThrow(
      "publishUnique: queue 'ordered' has an orderingKey",
    );
    expect(() => queue.schedules(Ordered)).toThrow("schedules: queue 'ordered' has an orderingKey");
    const Plain = defineQueue<Keyed>('plain');
    await expect(queue.publish(Plain, { key: 'a', n: 0 }, { orderingKey: 'a' })).rejects.toThrow(
      "orderingKey must be left out: queue 'plain' is not ordered",
    );
  });
});
