import { describe, expect, it } from '@jest/globals';
import { QueueBed } from '../../../test/support/queue-bed.js';
import type { QueueApp } from '../../../test/support/queue-app.js';
import { until } from '../../../test/support/until.js';
import { DeadLetterTask, defineQueue, type HandlerOptions, type Task } from '../index.js';

const bed = new QueueBed();

interface Job {
  customer: { id: string };
  n: number;
}

/** Runs, which last until they are let go, and how many of a customer ran at a time. */
class Runs {
  readonly started: Job[] = [];
  readonly most = new Map<string, number>();
  readonly #running = new Map<string, number>();
  readonly #ends: (() => void)[] = [];
  body: (task: Task<Job>) => unknown = () =>
    new Promise<void>((resolve) => {
      this.#ends.push(resolve);
    });

  readonly handler = async (task: Task<Job>): Promise<unknown> => {
    const { id } = task.payload.customer;
    const now = (this.#running.get(id) ?? 0) + 1;
    this.#running.set(id, now);
    this.most.set(id, Math.max(now, this.most.get(id) ?? 0));
    this.started.push(task.payload);
    try {
      return await this.body(task);
    } finally {
      this.#running.set(id, (this.#running.get(id) ?? 0) - 1);
    }
  };

  get running(): number {
    return [...this.#running.values()].reduce((sum, each) => sum + each, 0);
  }

  endAll(): void {
    for (const end of this.#ends.splice(0)) end();
  }
}

const LIMIT: HandlerOptions = { concurrency: { process: 20, perKey: 2, by: 'customer.id' } };
const start = (runs: Runs, options: HandlerOptions = LIMIT, queue = {}): Promise<QueueApp> =>
  bed.start({ handlers: { tasks: { run: runs.handler, options } }, queue });
const jobs = (customers: readonly string[], count: number): Job[] =>
  Array.from({ length: count }, (_, n) => customers.map((id) => ({ customer: { id }, n }))).flat();

describe('concurrency.perKey', () => {
  it('runs never more of a key at a time in all processes, and others go on', async () => {
    const runs = new Runs();
    const { queue } = await start(runs);
    await start(runs);
    await queue.publishMany('tasks', [...jobs(['a'], 30), ...jobs(['b', 'c'], 2)]);
    await until(() => runs.running === 6, { what: 'two of each run' });
    expect(await queue.counts('tasks')).toMatchObject({ running: 6, waiting: 28 });
    expect([...runs.most.values()]).toEqual([2, 2, 2]);
    await until(
      () => {
        runs.endAll();
        return runs.started.length === 34;
      },
      { what: 'all have begun', everyMs: 1 },
    );
    runs.body = () => {};
    runs.endAll();
    await bed.untilSettled();
    expect(runs.most.get('a')).toBe(2);
    expect(await bed.admin.keys('*~gates*')).toEqual([]);
    expect(await bed.admin.keys('*~line*')).toEqual([]);
  });

  it('lets no place wait for a task that is put off, in a fleet with other limits', async () => {
    const runs = new Runs();
    const seen = new Set<number>();
    runs.body = async ({ payload: { n }, attempt }) => {
      await new Promise((resolve) => setTimeout(resolve, 2));
      if (attempt === 1 && n % 5 === 0) throw new Error('as asked');
      seen.add(n);
    };
    const options: HandlerOptions = {
      concurrency: { process: 5, fleet: 4, perKey: 1, by: 'customer.id' },
      rateLimit: { limit: 50, perMs: 50 },
      backoff: 20,
    };
    const { queue } = await start(runs, options);
    await start(runs, options);
    await queue.publishMany('tasks', jobs(['a', 'b', 'c'], 20));
    await until(() => runs.started.length === 60 + 12, { what: 'all have run, some twice' });
    await bed.untilSettled();
    expect([...runs.most.values()]).toEqual([1, 1, 1]);
    expect(seen.size).toBe(20);
  });

  it('gives the places of a process that stops to others', async () => {
    const runs = new Runs();
    const first = await start(runs, LIMIT, { drainMs: 50 });
    await first.queue.publishMany('tasks', jobs(['a'], 6));
    await until(() => runs.running === 2, { what: 'two run' });
    const second = await start(runs);
    await first.app.close();
    runs.body = () => {};
    runs.endAll();
    await bed.untilSettled();
    expect(runs.started.map(({ n }) => n).sort()).toEqual([0, 0, 1, 1, 2, 3, 4, 5]);
    expect(await second.queue.counts('tasks')).toMatchObject({ waiting: 0, running: 0 });
  });
});

describe('perKey and by', () => {
  const boot = async (handler: object, queue = {}): Promise<unknown> => {
    try {
      await bed.start({ handlers: { tasks: { run: () => {}, ...handler } }, queue });
      return undefined;
    } catch (error) {
      return error;
    }
  };
  const refused = (message: string): unknown =>
    expect.objectContaining({ code: 'SLUICE_BAD_OPTION', message: expect.stringContaining(message) });

  it.each<[string, unknown, object?]>([
    ["concurrency of queue 'tasks' has no by", { perKey: 2 }],
    ["concurrency of queue 'tasks' has no perKey", { by: 'id' }],
    ['concurrency.perKey must be a whole number from 1 to 100', { perKey: 101, by: 'id' }],
    ['concurrency.by must be the name of a member', { perKey: 1, by: 'a..b' }],
    ['concurrency.by must be the name of a member', { perKey: 1, by: () => 'a' }],
  ])('%s', async (message, concurrency) => {
    expect(await boot({ options: { concurrency } })).toEqual(refused(message));
  });

  it('do not go with an order, which runs one of a key', async () => {
    const definition = defineQueue('tasks', { orderingKey: () => 'a' });
    expect(await boot({ definition, options: LIMIT })).toEqual(refused('it is ordered'));
  });

  it('ends with the option: processes without it take what waits', async () => {
    const runs = new Runs();
    const first = await start(runs);
    await first.queue.publishMany('tasks', jobs(['a'], 5));
    await until(async () => (await first.queue.counts('tasks')).waiting === 3 && runs.running === 2, {
      what: 'three wait for a place',
    });
    const closing = first.app.close();
    runs.endAll();
    await closing;
    const free = new Runs();
    await bed.start({ handlers: { tasks: { run: free.handler } }, queue: { leaseMs: 500 } });
    await until(() => free.running === 3, { what: 'all that waited runs at a time' });
    free.endAll();
    await bed.untilSettled();
  });

  it.each(['done', 'dead letters'])(
    'takes nothing from a process without it, which runs what waited, when its own tasks are %s',
    async (ends) => {
      const [runs, free] = [new Runs(), new Runs()];
      const { body } = runs;
      runs.body = async (task) => {
        await body(task);
        if (ends === 'dead letters') throw new DeadLetterTask('bad');
      };
      const { queue } = await start(runs);
      await queue.publishMany('tasks', jobs(['a'], 5));
      await until(async () => (await queue.counts('tasks')).waiting === 3 && runs.running === 2, {
        what: 'three wait for a place',
      });
      await bed.start({ handlers: { tasks: { run: free.handler } }, queue: { leaseMs: 500 } });
      await until(() => free.running === 3, { what: 'the other one runs them' });
      runs.endAll();
      await until(async () => (await queue.counts('tasks')).running === 3, { what: 'its own have ended' });
      free.endAll();
      await bed.untilSettled();
      expect([runs.started.length, free.started.length]).toEqual([2, 3]);
    },
  );

  it('can be given in two places, and be ended in the configuration', async () => {
    const options = { concurrency: { by: 'id' } };
    expect(await boot({ options }, { handlers: { tasks: { concurrency: { perKey: 3 } } } })).toBeUndefined();
    expect(await bed.admin.hget('{tasks}:~uses', 'places')).toMatch(/^0\.\d+\.\d+ \d{13}$/);
    expect(await boot({ options }, { handlers: { tasks: { concurrency: { perKey: false } } } })).toBeUndefined();
  });
});
