import { describe, expect, it } from '@jest/globals';
import { HistoryBed } from '../../../test/support/history-bed.js';
import { until } from '../../../test/support/until.js';
import type { QueueApp } from '../../../test/support/queue-app.js';
import { DeadLetterTask, defineQueue, type BatchTask, type HandlerOptions, type Task } from '../index.js';

const bed = new HistoryBed();
const COUNT = 12;
const numbers = Array.from({ length: COUNT }, (_, n) => n);
const history = { completed: 50, failed: 50 };
interface Keyed {
  key: string;
  n: number;
}
const Ordered = defineQueue<Keyed>('tasks', { orderingKey: ({ key }) => key, history });
const keyed = numbers.map((n) => ({ key: `k${n % 3}`, n }));

/** Publishes twelve tasks; those whose number can be divided by 4 fail for good. */
const fails = (n: number): boolean => n % 4 === 0;
const failing = ({ payload }: Task<number | Keyed>): number => {
  const n = typeof payload === 'number' ? payload : payload.n;
  if (fails(n)) throw new DeadLetterTask('four');
  return n;
};

interface Way {
  readonly what: string;
  readonly run?: (task: never) => unknown;
  readonly options?: HandlerOptions | object;
  readonly definition?: unknown;
  readonly publish: (queue: QueueApp['queue']) => Promise<unknown>;
  readonly result?: boolean;
}

const WAYS: readonly Way[] = [
  { what: 'acknowledged with others', publish: (queue) => queue.publishMany('tasks', numbers) },
  { what: 'published with a delay', publish: (queue) => queue.publishMany('tasks', numbers, { delayMs: 1 }) },
  {
    what: 'waited for',
    publish: (queue) => Promise.allSettled(numbers.map((n) => queue.publishAndWait('tasks', n))),
  },
  {
    what: 'published under keys',
    publish: (queue) => Promise.all(numbers.map((n) => queue.publishUnique('tasks', n, { key: `k${n}` }))),
  },
  {
    what: 'followed by another one when all are settled',
    publish: (queue) => queue.publishMany('tasks', numbers, { whenAllSettled: { queue: '{tasks}.after', payload: 1 } }),
  },
  {
    what: 'acknowledged with notes',
    run: (task: Task<number>) => {
      task.onAck([['incrby', '{tasks}:count', 1]]);
      task.next('{tasks}.next', task.payload);
      return failing(task);
    },
    publish: (queue) => queue.publishMany('tasks', numbers),
  },
  {
    what: 'run in batches',
    run: (tasks: readonly BatchTask<number>[]) => {
      for (const task of tasks) if (fails(task.payload)) task.fail(new DeadLetterTask('four'));
    },
    options: { batch: { max: 5, waitMs: 5 } },
    publish: (queue) => queue.publishMany('tasks', numbers),
    result: false,
  },
  { what: 'ordered by key', definition: Ordered, publish: (queue) => queue.publishMany(Ordered, keyed) },
  {
    what: 'ordered by key, and waited for',
    definition: Ordered,
    publish: (queue) => Promise.allSettled(keyed.map((each) => queue.publishAndWait(Ordered, each))),
  },
  {
    what: 'limited by key',
    options: { concurrency: { process: 5, perKey: 1, by: 'key' } },
    publish: (queue) => queue.publishMany('tasks', keyed),
  },
  {
    what: 'limited in the fleet',
    options: { concurrency: { process: 5, fleet: 2 } },
    publish: (queue) => queue.publishMany('tasks', numbers),
  },
  {
    what: 'published again when they fail',
    options: { deadLetterTo: '{tasks}.failures' },
    publish: (queue) => queue.publishMany('tasks', numbers),
  },
];

describe('each task is recorded once, if tasks are', () => {
  it.each(WAYS.map((way) => [way.what, way] as const))('%s', async (_, way) => {
    const { run = failing, options = {}, definition, publish, result = true } = way;
    const queues = { tasks: { history } };
    const app = await bed.handle(run as (task: Task<never>) => unknown, options, {
      ...(definition === undefined ? { queues } : { definition, queues: {} }),
    });
    await publish(app.queue);
    const done = await bed.untilRecorded(app, COUNT - 3);
    const failed = await bed.untilRecorded(app, 3, 'failed');
    await bed.untilSettled();
    const shown = (tasks: typeof done): number[] =>
      tasks.map(({ payload }) => (typeof payload === 'number' ? payload : (payload as Keyed).n)).sort((a, b) => a - b);
    expect(shown(done)).toEqual(numbers.filter((n) => !fails(n)));
    expect(shown(failed)).toEqual(numbers.filter(fails));
    expect(new Set([...done, ...failed].map(({ id }) => id)).size).toBe(COUNT);
    for (const { result: returned, payload } of result ? done : []) {
      expect(returned).toBe(typeof payload === 'number' ? payload : (payload as Keyed).n);
    }
    for (const { orderingKey, payload } of done) {
      expect(orderingKey).toBe(definition === undefined ? undefined : (payload as Keyed).key);
    }
    expect(failed.every(({ reason }) => reason === 'four')).toBe(true);
    // What follows all of them is published once, by the last one.
    expect(await bed.admin.xlen('{tasks}.after')).toBe(way.what.startsWith('followed') ? 1 : 0);
  });

  it.each<[what: string, options: HandlerOptions, definition: unknown]>([
    ['acknowledged with others', {}, undefined],
    ['ordered by key', {}, Ordered],
    ['with results and notes', {}, undefined],
  ])(
    'refused while a key of another type is in the way, and done when it is gone: %s',
    async (what, options, definition) => {
      await bed.admin.set('{tasks}:~history-completed', 'x');
      await bed.admin.set('{tasks}:~history-failed', 'x');
      const lines: string[] = [];
      const run = (task: Task<number | Keyed>): number => {
        if (what.includes('notes')) task.onAck([['incrby', '{tasks}:count', 1]]);
        return failing(task);
      };
      const app = await bed.start({
        handlers: { tasks: { run, options, ...(definition ? { definition: definition as never } : {}) } },
        queue: { queues: { tasks: { history } } },
        logged: (_level, message) => lines.push(message),
      });
      await (definition ? app.queue.publishMany(Ordered, keyed) : app.queue.publishMany('tasks', numbers));
      const refused = (kind: string): boolean => lines.some((line) => line.includes(`history-${kind} is no stream`));
      await until(() => refused('completed') && refused('failed'), { what: 'both are refused' });
      expect((await app.queue.counts('tasks')).dead).toBe(0);
      expect(await bed.admin.get('{tasks}:count')).toBeNull();
      await bed.admin.del('{tasks}:~history-completed', '{tasks}:~history-failed');
      expect(await bed.untilRecorded(app, COUNT - 3)).toHaveLength(COUNT - 3);
      expect(await bed.untilRecorded(app, 3, 'failed')).toHaveLength(3);
      await bed.untilSettled();
    },
  );
});
