import { describe, expect, it } from '@jest/globals';
import { QueueBed } from '../../../test/support/queue-bed.js';
import type { QueueApp } from '../../../test/support/queue-app.js';
import { until } from '../../../test/support/until.js';
import { defineQueue, type HandlerOptions, type Task } from '../index.js';

const bed = new QueueBed();
/** No test lasts so long. */
const LONG_MS = 3_600_000;

interface Job {
  account: { id: string };
  n: number;
}

/** When the tasks of each account have started. */
class Starts {
  readonly at: { id: string; n: number; app: string; ms: number }[] = [];
  body: (task: Task<Job>) => unknown = () => {};

  readonly handler =
    (app: string) =>
    (task: Task<Job>): unknown => {
      const { account, n } = task.payload;
      this.at.push({ id: account.id, n, app, ms: performance.now() });
      return this.body(task);
    };

  of(id: string): number[] {
    return this.at.filter((each) => each.id === id).map(({ n }) => n);
  }

  /** The shortest time in which an account had one start more than `limit`. */
  shortest(limit: number): number {
    const spans = [...new Set(this.at.map(({ id }) => id))].flatMap((id) => {
      const starts = this.at.filter((each) => each.id === id);
      return starts.slice(limit).map(({ ms }, i) => ms - (starts[i]?.ms ?? 0));
    });
    return Math.min(...spans);
  }
}

const rate = (limit: number, perMs: number): HandlerOptions => ({ rateLimit: { limit, perMs, by: 'account.id' } });
const start = (starts: Starts, app: string, options: HandlerOptions, queue = {}): Promise<QueueApp> =>
  bed.start({ handlers: { tasks: { run: starts.handler(app), options } }, queue });
const jobs = (ids: readonly string[], count: number): Job[] =>
  Array.from({ length: count }, (_, n) => ids.map((id) => ({ account: { id }, n }))).flat();

describe('rateLimit.by', () => {
  it('starts never more of a key in any window in all processes, in order, and others go on at once', async () => {
    const starts = new Starts();
    const { queue } = await start(starts, 'one', rate(3, 300));
    await start(starts, 'two', rate(3, 300));
    await queue.publishMany('tasks', [...jobs(['a'], 14), ...jobs(['b', 'c'], 2)]);
    await until(() => starts.at.length === 7, { what: 'three of a, and all others' });
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 11 });
    expect((await queue.list('tasks')).tasks).toHaveLength(11);
    await until(() => starts.at.length === 18, { what: 'all have started' });
    await bed.untilSettled();
    expect(starts.shortest(3)).toBeGreaterThanOrEqual(300);
    expect(starts.of('a')).toEqual([...starts.of('a')].sort((x, y) => x - y));
    expect(await bed.admin.keys('*line*')).toEqual([]);
    expect(await bed.admin.keys('*due*')).toEqual([]);
  });

  it('counts retries, and uses no attempt while a task waits', async () => {
    const starts = new Starts();
    const attempts: number[] = [];
    starts.body = ({ attempt, deliveries }) => {
      attempts.push(attempt);
      expect(deliveries).toBe(1);
      if (attempt < 3) throw new Error('as asked');
    };
    const { queue } = await start(starts, 'one', { ...rate(1, 100), backoff: 1 });
    await queue.publishMany('tasks', jobs(['a', 'b'], 2));
    await until(() => starts.at.length === 12, { what: 'three runs of each' });
    await bed.untilSettled();
    expect(starts.shortest(1)).toBeGreaterThanOrEqual(100);
    expect(attempts.sort()).toEqual([1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
  });

  it('holds with a limit of the fleet, and with places of the same key', async () => {
    const starts = new Starts();
    let [now, most] = [0, 0];
    starts.body = async ({ attempt, payload: { n } }) => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, 5));
      now--;
      if (attempt === 1 && n % 4 === 0) throw new Error('as asked');
    };
    const options: HandlerOptions = {
      ...rate(4, 100),
      concurrency: { process: 5, fleet: 2, perKey: 1, by: 'account.id' },
      backoff: 5,
    };
    const { queue } = await start(starts, 'one', options);
    await start(starts, 'two', options);
    await queue.publishMany('tasks', jobs(['a', 'b', 'c'], 12));
    await until(() => starts.at.length === 45, { what: 'all have run, some twice' });
    await bed.untilSettled();
    expect(most).toBeLessThanOrEqual(2);
    expect(starts.shortest(4)).toBeGreaterThanOrEqual(100);
    expect(await bed.admin.keys('*gates*')).toEqual([]);
  });

  it('keeps the order of an ordered queue', async () => {
    const starts = new Starts();
    starts.body = ({ attempt, payload: { n } }) => {
      if (attempt === 1 && n === 1) throw new Error('as asked');
    };
    const definition = defineQueue<Job>('tasks', { orderingKey: ({ account }) => account.id });
    const options = { ...rate(2, 100), backoff: 5 };
    const { queue } = await bed.start({
      handlers: { tasks: { run: starts.handler('one'), options, definition: definition as never } },
    });
    await queue.publishMany(definition, jobs(['a', 'b'], 5));
    await until(() => starts.at.length === 12, { what: 'all have run, two of them twice' });
    await bed.untilSettled();
    expect(starts.of('a')).toEqual([0, 1, 1, 2, 3, 4]);
    expect(starts.of('b')).toEqual([0, 1, 1, 2, 3, 4]);
    expect(starts.shortest(2)).toBeGreaterThanOrEqual(100);
  });

  it('goes on in another process when the one stops in which tasks began to wait', async () => {
    const starts = new Starts();
    const first = await start(starts, 'one', rate(1, 500));
    await first.queue.publishMany('tasks', jobs(['a'], 3));
    await until(() => starts.at.length === 1, { what: 'one has started' });
    await until(async () => (await bed.admin.keys('*~key-rate-line*')).length === 1, { what: 'the others wait' });
    const second = await start(starts, 'two', rate(1, 500));
    await first.app.close();
    await bed.untilSettled();
    expect(starts.at.slice(1).map(({ app }) => app)).toEqual(['two', 'two']);
    expect(starts.shortest(1)).toBeGreaterThanOrEqual(500);
    expect(await second.queue.counts('tasks')).toMatchObject({ waiting: 0, running: 0 });
  });

  it('ends with the option: processes without it take what waits', async () => {
    const starts = new Starts();
    const first = await start(starts, 'one', rate(1, LONG_MS));
    await first.queue.publishMany('tasks', jobs(['a'], 3));
    await until(async () => (await first.queue.counts('tasks')).waiting === 2 && starts.at.length === 1, {
      what: 'two wait',
    });
    await first.app.close();
    await start(starts, 'two', {}, { leaseMs: 500 });
    await bed.untilSettled();
    expect(starts.of('a').sort()).toEqual([0, 1, 2]);
  });

  it('leaves waiting tasks to operators', async () => {
    const starts = new Starts();
    const { queue } = await start(starts, 'one', rate(1, 200));
    await queue.publishMany('tasks', jobs(['a'], 4));
    await until(() => starts.at.length === 1, { what: 'one has started' });
    const { tasks } = await queue.list('tasks');
    const [second, third] = tasks.map(({ id }) => id);
    expect((await queue.inspect('tasks', second!))?.state).toBe('waiting');
    expect(await queue.remove('tasks', second!)).toBe(true);
    expect(await queue.cancel('tasks', third!)).toBe('removed');
    await bed.untilSettled();
    expect(starts.of('a')).toEqual([0, 3]);
    await queue.publishMany('tasks', jobs(['b'], 4));
    await until(() => starts.of('b').length === 1, { what: 'one of b has started' });
    expect(await queue.purge('tasks', 'waiting')).toBeGreaterThan(0);
    await bed.untilSettled();
  });

  it('leaves nothing behind of a group that is dropped', async () => {
    const starts = new Starts();
    const first = await start(starts, 'one', { ...rate(1, LONG_MS), group: 'old' });
    await first.queue.publishMany('tasks', jobs(['a'], 3));
    await until(async () => (await bed.admin.keys('*~key-rate-line*')).length === 1, { what: 'two wait' });
    await first.app.close();
    const { queue } = await bed.start({ queue: { consumers: false } });
    expect(await queue.groups('tasks').drop('old')).toBe(true);
    expect(await bed.admin.keys('*key-rate-line*')).toEqual([]);
    expect(await bed.admin.keys('*key-rate-due*')).toEqual([]);
  });

  it('is mended when somebody deletes what stands in line', async () => {
    const starts = new Starts();
    const { queue } = await start(starts, 'one', rate(1, 100), { leaseMs: 300 });
    await queue.publishMany('tasks', jobs(['a'], 3));
    await until(() => starts.at.length === 1, { what: 'one has started' });
    await bed.admin.del('{tasks}:~key-rate-line:sluice', '{tasks}:~key-rate-due:sluice');
    await bed.untilSettled();
    expect(starts.of('a')).toEqual([0, 1, 2]);
  });
});

describe('the options of a rate by key', () => {
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

  it.each<[string, object]>([
    ["rateLimit of queue 'tasks' has no limit", { rateLimit: { by: 'id' } }],
    ["rateLimit of queue 'tasks' has no perMs", { rateLimit: { by: 'id', limit: 1 } }],
    ['rateLimit.by must be the name of a member', { rateLimit: { limit: 1, perMs: 1, by: 'a..b' } }],
    ['rateLimit.by must be the name of a member', { rateLimit: { limit: 1, perMs: 1, by: () => 'a' } }],
    [
      "rateLimit.by of queue 'tasks' is 'id', and concurrency.by is 'name'",
      { rateLimit: { limit: 1, perMs: 1, by: 'id' }, concurrency: { perKey: 1, by: 'name' } },
    ],
  ])('refuse: %s', async (message, options) => {
    expect(await boot({ options })).toEqual(refused(message));
  });

  it('can be given in two places', async () => {
    const queue = { handlers: { tasks: { rateLimit: { by: 'id' } } } };
    expect(await boot({ options: { rateLimit: { limit: 5, perMs: 50 } } }, queue)).toBeUndefined();
    expect(await bed.admin.hget('{tasks}:~uses', 'paces')).toMatch(/^0\.\d+\.\d+ \d{13}$/);
  });

  it('can be ended in the configuration', async () => {
    const queue = { handlers: { tasks: { rateLimit: { by: false as const } } } };
    expect(await boot({ options: rate(5, 50) }, queue)).toBeUndefined();
    expect(await bed.admin.exists('{tasks}:~uses')).toBe(0);
  });
});
