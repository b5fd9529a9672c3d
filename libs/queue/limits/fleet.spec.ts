import { describe, expect, it } from '@jest/globals';
import { gate } from '../../../test/support/gate.js';
import { Imports } from '../../../test/support/named-tasks-bed.js';
import type { QueueApp, QueueAppOptions } from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { SOON_MS, until } from '../../../test/support/until.js';
import { DeadLetterTask, DropTask, RetryTask, SnoozeTask, type HandlerOptions, type Task } from '../index.js';

const bed = new QueueBed();
/** No test lasts so long. */
const LONG_MS = 3_600_000;

/** Runs of several apps, which last until they are let go. */
class Runs {
  readonly started: { app: string; payload: number; attempt: number; deliveries: number }[] = [];
  readonly #going: { app: string; end: () => void }[] = [];
  most = 0;

  get running(): number {
    return this.#going.length;
  }

  /** What a run does at its end. */
  then: (task: Task<never>) => unknown = () => {};

  readonly handler =
    (app: string) =>
    async (task: Task<never>): Promise<unknown> => {
      const { payload, attempt, deliveries } = task;
      const { opened, open } = gate();
      const going = { app, end: open };
      this.#going.push(going);
      this.started.push({ app, payload, attempt, deliveries });
      this.most = Math.max(this.most, this.running);
      const aborted = new Promise((resolve) => {
        task.signal.addEventListener('abort', resolve);
      });
      await Promise.race([opened, aborted]);
      this.#going.splice(this.#going.indexOf(going), 1);
      return this.then(task);
    };

  /** Ends the first run, of this app if one is named. */
  end(app?: string): void {
    this.#going.find((each) => app === undefined || each.app === app)?.end();
  }

  endAll(): void {
    for (const { end } of this.#going) end();
  }
}

const start = (
  runs: Runs,
  app: string,
  options: HandlerOptions,
  more: Omit<QueueAppOptions, 'url'> = {},
): Promise<QueueApp> => bed.start({ handlers: { tasks: { run: runs.handler(app), options } }, ...more });

const numbers = (count: number): number[] => [...new Array<number>(count).keys()];

describe('concurrency.fleet', () => {
  it('runs never more at a time in all processes, and all tasks once, in order', async () => {
    const runs = new Runs();
    const options = { concurrency: { process: 2, fleet: 3 } };
    const apps = [];
    for (const name of ['a', 'b', 'c']) apps.push(await start(runs, name, options));
    await apps[0]!.queue.publishMany('tasks', numbers(30));
    await until(() => runs.running === 3, { what: 'three run' });
    // What waits belongs to no process.
    expect(await bed.books.pending()).toBe(3);
    expect(await apps[0]!.queue.counts('tasks')).toMatchObject({ running: 3, waiting: 27 });
    await until(
      () => {
        runs.end();
        return runs.started.length === 30 && runs.running === 0;
      },
      { what: 'all are done', everyMs: 1 },
    );
    await bed.untilSettled();
    expect(runs.most).toBe(3);
    expect(runs.started.map(({ payload }) => payload).sort((a, b) => a - b)).toEqual(numbers(30));
    expect(runs.started.every(({ attempt, deliveries }) => attempt === 1 && deliveries === 1)).toBe(true);
    expect(await bed.admin.keys('*rate*')).toEqual([]);
  });

  it('starts the next task at once when one ends, before anybody looks again by himself', async () => {
    const runs = new Runs();
    const { queue } = await start(runs, 'a', { concurrency: { fleet: 1 } });
    await queue.publishMany('tasks', numbers(100));
    await until(
      () => {
        runs.end();
        return runs.started.length === 100;
      },
      // 99 looks, twice a second, would take longer.
      { what: 'all have started', everyMs: 1, deadlineMs: SOON_MS },
    );
    expect(runs.most).toBe(1);
  });

  it('keeps no place of another queue', async () => {
    const runs = new Runs();
    const seen: number[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: { run: runs.handler('a'), options: { concurrency: { process: 1, fleet: 1 } } },
        others: { run: (task: Task<number>) => void seen.push(task.payload), options: { concurrency: 1 } },
      },
    });
    await queue.publishMany('tasks', numbers(5));
    await queue.publishMany('others', numbers(100));
    await until(() => seen.length === 100, { what: 'the other queue is done' });
    expect(runs.started).toHaveLength(1);
    await until(
      async () => {
        runs.endAll();
        return bed.books.settled();
      },
      { what: 'all is settled' },
    );
  });

  it.each<[string, (task: Task) => unknown]>([
    ['success', () => {}],
    ['a failure', () => Promise.reject(new Error('again'))],
    ['a dead letter', () => Promise.reject(new DeadLetterTask('no'))],
    ['a retry later', () => Promise.reject(new RetryTask({ delayMs: LONG_MS }))],
    ['a snooze', () => Promise.reject(new SnoozeTask({ delayMs: LONG_MS }))],
    ['a drop', () => Promise.reject(new DropTask())],
  ])('gets a place back after %s', async (_, then) => {
    const runs = new Runs();
    runs.then = then;
    const { queue } = await start(runs, 'a', { concurrency: { fleet: 1 }, maxAttempts: 2, backoff: LONG_MS });
    await queue.publishMany('tasks', [1, 2]);
    await until(() => runs.running === 1, { what: 'the first runs' });
    runs.end();
    await until(() => runs.started.length === 2, { what: 'the second runs' });
    expect(runs.most).toBe(1);
    runs.endAll();
    await until(async () => (await bed.books.pending()) === 0, { what: 'nothing is pending' });
  });

  it('gets a place back when a task is cancelled, and when it takes too long', async () => {
    const runs = new Runs();
    runs.then = ({ signal }) => {
      signal.throwIfAborted();
    };
    const options = { concurrency: { fleet: 1 }, timeoutMs: 300_000 };
    const { queue } = await start(runs, 'a', options);
    const [first = ''] = await queue.publishMany('tasks', [1, 2]);
    await until(() => runs.running === 1, { what: 'the first runs' });
    expect(await queue.cancel('tasks', first)).toBe('aborting');
    await until(() => runs.started.at(-1)?.payload === 2, { what: 'the second runs' });
    runs.endAll();
    await bed.untilSettled();
    const timed = new Runs();
    const { queue: other } = await bed.start({
      handlers: { timed: { run: timed.handler('a'), options: { ...options, timeoutMs: 20, maxAttempts: 1 } } },
    });
    await other.publishMany('timed', numbers(3));
    await until(() => timed.started.length === 3, { what: 'each is given up' });
  });

  it('gives the places of a stopping process to the others', async () => {
    const runs = new Runs();
    const options = { concurrency: { process: 2, fleet: 2 } };
    const first = await start(runs, 'a', options);
    await first.queue.publishMany('tasks', numbers(4));
    await until(() => runs.running === 2, { what: 'its places are taken' });
    await start(runs, 'b', options);
    const closed = first.app.close();
    runs.end('a');
    await until(() => runs.started.filter(({ app }) => app === 'b').length === 1, { what: 'the other has one place' });
    expect(runs.running).toBe(2);
    runs.endAll();
    await closed;
    await until(() => runs.started.length === 4, { what: 'all have run' });
    runs.endAll();
    await bed.untilSettled();
    expect(runs.most).toBe(2);
  });

  it('aborts and returns the tasks of a process that has no time left, and the others have their places', async () => {
    const runs = new Runs();
    const options = { concurrency: { fleet: 2 } };
    const first = await start(runs, 'a', options, { queue: { drainMs: 0 } });
    await first.queue.publishMany('tasks', [1, 2]);
    await until(() => runs.running === 2, { what: 'both run' });
    await start(runs, 'b', options, { queue: { leaseMs: 300_000 } });
    await first.app.close();
    await until(() => runs.started.filter(({ app }) => app === 'b').length === 2, { what: 'they run again' });
    expect(runs.started.every(({ attempt, deliveries }) => attempt === 1 && deliveries === 1)).toBe(true);
    runs.endAll();
  });

  it("holds for the group's own retries too, if the queue has several groups", async () => {
    const runs = new Runs();
    runs.then = ({ attempt }) => {
      if (attempt === 1) throw new Error('again');
    };
    const options = { group: 'a', concurrency: { process: 4, fleet: 2 } };
    const { queue } = await start(runs, 'a', options, { queue: { leaseMs: 300 } });
    await start(runs, 'a', options, { queue: { leaseMs: 300 } });
    let others = 0;
    await bed.start({ handlers: { tasks: { run: () => others++, options: { group: 'b' } } }, queue: { leaseMs: 300 } });
    await queue.publishMany('tasks', numbers(12));
    await until(
      () => {
        runs.end();
        return runs.started.length === 24;
      },
      { what: 'all have run twice', everyMs: 1 },
    );
    runs.endAll();
    await until(() => others === 12, { what: 'the other group is done' });
    expect(runs.most).toBe(2);
  });

  it('waits while the queue is paused, and goes on', async () => {
    const runs = new Runs();
    const { queue } = await start(runs, 'a', { concurrency: { fleet: 2 } });
    await queue.pause('tasks');
    await queue.publishMany('tasks', [1, 2, 3]);
    expect(await queue.counts('tasks')).toMatchObject({ running: 0, waiting: 3 });
    await queue.resume('tasks');
    await until(() => runs.running === 2, { what: 'two run' });
    runs.endAll();
    await until(() => runs.started.length === 3, { what: 'the third runs' });
    runs.endAll();
  });
});

describe('rateLimit', () => {
  it('starts so many tasks of the fleet, and leaves the others where they are', async () => {
    const runs = new Runs();
    const options = { rateLimit: { limit: 4, perMs: LONG_MS } };
    const { queue } = await start(runs, 'a', options);
    await start(runs, 'b', options);
    await queue.publishMany('tasks', numbers(10));
    await until(() => runs.started.length === 4, { what: 'four have started' });
    runs.endAll();
    await until(async () => (await bed.books.pending()) === 0, { what: 'they are settled' });
    expect(await queue.counts('tasks')).toMatchObject({ running: 0, waiting: 6 });
    expect(runs.started).toHaveLength(4);
  });

  it('goes on when the window is over, and counts retries', async () => {
    const perMs = 200;
    const atMs: number[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: {
          run: ({ attempt }: Task<number>) => {
            atMs.push(performance.now());
            if (attempt === 1) throw new Error('again');
          },
          options: { rateLimit: { limit: 2, perMs } },
        },
      },
    });
    await queue.publishMany('tasks', numbers(4));
    await until(() => atMs.length === 8, { what: 'all have run twice' });
    for (let i = 2; i < atMs.length; i++) expect(atMs[i]! - atMs[i - 2]!).toBeGreaterThanOrEqual(perMs);
  });

  it('belongs to the name of a named task, and to no other', async () => {
    const seen: string[] = [];
    const run = (task: Task<never>): void => void seen.push(task.stream);
    const { queue } = await bed.start({
      handlers: { '{files}.import': run, '{files}.clean': run },
      queue: { handlers: { 'files.import': { rateLimit: { limit: 1, perMs: LONG_MS } } } },
    });
    await queue.publishMany(Imports, [{ url: 'a' }, { url: 'b' }]);
    await queue.publishMany('{files}.clean', [null, null]);
    await until(() => seen.length === 3, { what: 'all but one have run' });
    await until(async () => (await bed.admin.xlen('{files}.clean')) === 0, { what: 'they are settled' });
    expect(await queue.counts(Imports)).toMatchObject({ waiting: 1 });
  });

  it('is told of in the log, and in no other', async () => {
    const lines: string[] = [];
    await bed.start({
      handlers: {
        tasks: { run: () => {}, options: { concurrency: { fleet: 3 }, rateLimit: { limit: 2, perMs: 500 } } },
        others: () => {},
      },
      logged: (_, message) => lines.push(message),
    });
    const handled = lines.filter((line) => line.includes('is handled by'));
    expect(handled[0]).toContain('concurrency 10, 3 in the fleet, at most 2 starts per 500 ms, maxAttempts 3');
    expect(handled[1]).toContain('concurrency 10, maxAttempts 3');
  });
});
