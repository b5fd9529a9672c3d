import { describe, expect, it } from '@jest/globals';
import { commandDelta } from '../../../test/support/command-delta.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { QueueFullError, defineQueue, payload, type LengthLimit, type QueueService } from '../index.js';

const bed = new QueueBed();
const limited = (maxLength: LengthLimit) => defineQueue<unknown>('tasks', { maxLength });
const HOUR_MS = 3_600_000;

/** A handler that ends when it is told to. */
function gate(): { run: () => Promise<void>; open: () => void; running: () => number } {
  const open: (() => void)[] = [];
  return {
    run: () => new Promise((resolve) => open.push(resolve)),
    open: () => {
      for (const resolve of open.splice(0)) resolve();
    },
    running: () => open.length,
  };
}

const publishing = (queue: QueueService, length: LengthLimit, n: number): Promise<unknown> =>
  Promise.all(Array.from({ length: n }, (_, i) => queue.publish(limited(length), i)));

describe('a queue with a maxLength', () => {
  it('counts what waits, is delayed, runs and is retried later, and refuses what is more', async () => {
    const { run, running } = gate();
    const { queue } = await bed.start({
      handlers: {
        tasks: {
          run: ({ payload: given }: { payload: unknown }) => {
            if (given === 'fails') throw new Error('as asked');
            return run();
          },
          options: { concurrency: 2, backoff: HOUR_MS },
        },
      },
    });
    const Tasks = limited({ limit: 5 });
    await queue.publish(Tasks, 'fails');
    await until(async () => (await queue.counts(Tasks)).delayed === 1, { what: 'it rests' });
    await queue.publishMany(Tasks, [1, 2, 3]);
    await until(() => running() === 2, { what: 'two run' });
    await queue.publish(Tasks, 4, { delayMs: HOUR_MS });
    const before = await queue.counts(Tasks);
    expect({ ...before, all: before.waiting + before.running }).toMatchObject({ all: 3, delayed: 2 });
    const refused = queue.publish(Tasks, 5);
    await expect(refused).rejects.toBeInstanceOf(QueueFullError);
    await expect(refused).rejects.toMatchObject({ code: 'SLUICE_QUEUE_FULL', queue: 'tasks', limit: 5, length: 5 });
    await expect(queue.publish(Tasks, 5, { delayMs: HOUR_MS })).rejects.toMatchObject({ code: 'SLUICE_QUEUE_FULL' });
    const after = await queue.counts(Tasks);
    expect({ ...after, all: after.waiting + after.running }).toMatchObject({ all: 3, delayed: 2 });
  });

  it('is never longer, however many publish at once, and takes as many as there is room for', async () => {
    const apps = await Promise.all([bed.start({}), bed.start({}), bed.start({})]);
    const sent = await Promise.allSettled(
      apps.flatMap(({ queue }) => Array.from({ length: 40 }, (_, i) => queue.publish(limited({ limit: 50 }), i))),
    );
    expect(sent.filter(({ status }) => status === 'fulfilled')).toHaveLength(50);
    expect(await bed.admin.xlen('tasks')).toBe(50);
  });

  it('takes all tasks of a publishMany or none, at one instant', async () => {
    const { queue } = await bed.start({});
    const Tasks = limited({ limit: 10 });
    const ids = await queue.publishMany(Tasks, [1, 2, 3, 4, 5, 6], (_, i) => (i % 2 ? { delayMs: HOUR_MS } : {}));
    expect(await queue.counts(Tasks)).toMatchObject({ waiting: 3, delayed: 3 });
    expect(await Promise.all(ids.map(async (id) => (await queue.inspect(Tasks, id))?.payload))).toEqual([
      1, 2, 3, 4, 5, 6,
    ]);
    await expect(queue.publishMany(Tasks, [1, 2, 3, 4, 5])).rejects.toMatchObject({ length: 6 });
    expect(await queue.counts(Tasks)).toMatchObject({ waiting: 3, delayed: 3 });
    expect(await queue.publishMany(Tasks, [])).toEqual([]);
    await queue.publishMany(Tasks, [1, 2, 3, 4]);
    await expect(queue.publish(Tasks, 1)).rejects.toMatchObject({ length: 10 });
  });

  it('refuses a publishMany that would never fit', async () => {
    const { queue } = await bed.start({});
    const many = Array.from({ length: 1_001 }, (_, i) => i);
    await expect(queue.publishMany(limited({ limit: 10 }), many.slice(0, 11))).rejects.toThrow(
      "publishMany: payloads must be at most 10: queue 'tasks' has a maxLength, so they are published all or none, got 11",
    );
    await expect(queue.publishMany(limited({ limit: 10_000 }), many)).rejects.toThrow('at most 1000');
    const large = ['x'.repeat(2 ** 20 - 100), 'x'.repeat(2 ** 20 - 100)];
    const five = [...large, ...large, large[0]!];
    await expect(queue.publishMany(limited({ limit: 10_000 }), five)).rejects.toThrow('at most 4194304 characters');
    expect(await bed.admin.exists('tasks')).toBe(0);
  });

  it('counts the own retries of each group, and a task until all groups are done with it', async () => {
    const fails = (): never => {
      throw new Error('as asked');
    };
    const { queue } = await bed.start({
      handlers: { tasks: { run: fails, options: { group: 'one', backoff: HOUR_MS } } },
    });
    await bed.start({ handlers: { tasks: { run: () => {}, options: { group: 'two' } } } });
    const Tasks = limited({ limit: 2 });
    await queue.publish(Tasks, 1);
    await until(async () => (await bed.admin.zcard('{tasks}:~delayed:one')) === 1, { what: 'group one retries' });
    await until(async () => (await bed.admin.xlen('tasks')) === 0, { what: 'the janitor has deleted the entry' });
    await queue.publish(Tasks, 2);
    await until(async () => (await bed.admin.zcard('{tasks}:~delayed:one')) === 2, { what: 'group one retries both' });
    await until(async () => (await bed.admin.xlen('tasks')) === 0, { what: 'the janitor has deleted both' });
    await expect(queue.publish(Tasks, 3)).rejects.toMatchObject({ length: 2 });
  });

  it('never refuses what was there before: retries, redrives, schedules and other clients', async () => {
    let healthy = false;
    const { queue } = await bed.start({
      handlers: {
        tasks: {
          run: () => {
            if (!healthy) throw new Error('as asked');
          },
          options: { maxAttempts: 2, backoff: 50 },
        },
      },
    });
    const Tasks = limited({ limit: 1 });
    await queue.publish(Tasks, 1);
    await until(async () => (await queue.counts(Tasks)).dead === 1, { what: 'it was retried, and is dead' });
    await queue.pause(Tasks);
    healthy = true;
    await queue.publish(Tasks, 2);
    expect(await queue.dead(Tasks).redrive()).toBe(1);
    await queue.schedules(Tasks).upsert('daily', '0 3 * * *', 3);
    await queue.schedules(Tasks).runNow('daily');
    await queue.raw.publish('tasks', '4');
    expect(await queue.counts(Tasks)).toMatchObject({ waiting: 4 });
    await expect(queue.publish(Tasks, 5)).rejects.toMatchObject({ length: 4 });
    await queue.resume(Tasks);
    await bed.untilSettled();
    await queue.publish(Tasks, 6);
  });

  it('is refused for publishes under a key, which do not look at it', async () => {
    const { queue } = await bed.start({});
    const refusal = { code: 'SLUICE_BAD_OPTION', message: expect.stringContaining("queue 'tasks' has a maxLength") };
    await expect(queue.publishUnique(limited({ limit: 1 }), 1, { key: 'a' })).rejects.toMatchObject(refusal);
    const Lists = defineQueue<number[]>('tasks', { maxLength: { limit: 1 } });
    await expect(queue.collect(Lists, 1, { key: 'a', waitMs: 1 })).rejects.toMatchObject(refusal);
  });

  it('costs one script, and nothing where there is none', async () => {
    const { queue } = await bed.start({ queue: { queues: { others: { maxLength: { limit: 1 } } } } });
    const { calls: plain } = await commandDelta(bed.admin, () => queue.publish('tasks', 1));
    expect(plain).toEqual({ xadd: 1 });
    await queue.publish(limited({ limit: 10 }), 1);
    const { calls } = await commandDelta(bed.admin, () => queue.publish(limited({ limit: 10 }), 1));
    expect(calls).toMatchObject({ evalsha: 1, xadd: 1 });
  });
});

describe("onFull: 'wait'", () => {
  it('waits until there is room, in the order of the calls', async () => {
    const { run, open, running } = gate();
    const { queue } = await bed.start({ handlers: { tasks: { run, options: { concurrency: 1 } } } });
    const length: LengthLimit = { limit: 1, onFull: 'wait', waitMs: 300_000 };
    await publishing(queue, length, 1);
    const done: number[] = [];
    const waiting = [1, 2, 3].map((n) => queue.publish(limited(length), n).then(() => done.push(n)));
    await until(() => running() === 1, { what: 'the first one runs' });
    expect(done).toEqual([]);
    for (let n = 0; n < 3; n++) {
      await until(() => running() === 1, { what: 'one runs' });
      open();
      await until(() => done.length === n + 1, { what: 'the next one was published' });
      expect(await bed.admin.xlen('tasks')).toBeLessThanOrEqual(1);
    }
    await Promise.all(waiting);
    expect(done).toEqual([1, 2, 3]);
    await until(() => running() === 1, { what: 'the last one runs' });
    open();
  });

  it('lets nobody past who comes later', async () => {
    const { queue } = await bed.start({});
    const length: LengthLimit = { limit: 1, onFull: 'wait', waitMs: 300_000 };
    await publishing(queue, { limit: 1 }, 1);
    const first = queue.publish(limited(length), 'first').then(() => 'first');
    const looks = async (): Promise<number> =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await bed.admin.info('commandstats'))?.[1] ?? 0);
    const before = await looks();
    await until(async () => (await looks()) > before + 12, { what: 'it looks every 500 ms' });
    await bed.admin.xtrim('tasks', 'MAXLEN', 0);
    const late = queue.publish(limited(length), 'late').then(() => 'late');
    expect(await Promise.race([first, late])).toBe('first');
    await bed.admin.xtrim('tasks', 'MAXLEN', 0);
    await late;
  });

  it('rejects after waitMs, and the next one goes on waiting', async () => {
    const { queue } = await bed.start({});
    await publishing(queue, { limit: 1 }, 1);
    const next = queue.publish(limited({ limit: 1, onFull: 'wait', waitMs: 300_000 }), 'next');
    const short = queue.publish(limited({ limit: 1, onFull: 'wait', waitMs: 50 }), 'short');
    await expect(short).rejects.toThrow(
      "queue 'tasks' has 1 tasks, of at most 1, also after 50 ms; nothing was published",
    );
    const none = queue.publish(limited({ limit: 1, onFull: 'wait', waitMs: 0 }), 'none');
    await expect(none).rejects.toBeInstanceOf(QueueFullError);
    await bed.admin.xtrim('tasks', 'MAXLEN', 0);
    const id = await next;
    expect((await queue.inspect('tasks', id))?.payload).toBe('next');
  });

  it('ends with the signal, and those behind it go on', async () => {
    const { queue } = await bed.start({});
    const length: LengthLimit = { limit: 1, onFull: 'wait', waitMs: 300_000 };
    await publishing(queue, { limit: 1 }, 1);
    const [first, second] = [new AbortController(), new AbortController()];
    const given = queue.publish(limited(length), 'first', { signal: first.signal });
    const many = queue.publishMany(limited(length), ['second'], () => ({ signal: second.signal }));
    const last = queue.publish(limited(length), 'last');
    second.abort(new Error('no longer'));
    await expect(many).rejects.toThrow('no longer');
    first.abort(new Error('not wanted'));
    await expect(given).rejects.toThrow('not wanted');
    await expect(queue.publish('others', 1, { signal: first.signal })).rejects.toThrow('not wanted');
    expect(await bed.admin.exists('others')).toBe(0);
    await bed.admin.xtrim('tasks', 'MAXLEN', 0);
    await last;
    expect(await bed.admin.xlen('tasks')).toBe(1);
  });

  it('sends one call at a time, however many wait', async () => {
    const { queue } = await bed.start({});
    await publishing(queue, { limit: 1 }, 1);
    const length: LengthLimit = { limit: 1, onFull: 'wait', waitMs: 300 };
    const all = Promise.allSettled(Array.from({ length: 200 }, (_, i) => queue.publish(limited(length), i)));
    await until(
      async () => Number((await bed.admin.info('commandstats')).match(/cmdstat_evalsha:calls=(\d+)/)?.[1]) > 200,
      {
        what: 'each has looked once',
      },
    );
    const { calls } = await commandDelta(bed.admin, () => all);
    expect((await all).every(({ status }) => status === 'rejected')).toBe(true);
    expect(calls['evalsha'] ?? 0).toBeLessThan(30);
  });
});

describe('the options of maxLength', () => {
  it('are those of the configuration before those of the definition', async () => {
    const { queue } = await bed.start({
      queue: { queues: { tasks: { maxLength: { limit: 2 } }, free: { maxLength: false } } },
    });
    await queue.publishMany(limited({ limit: 1 }), [1, 2]);
    await expect(queue.publish(limited({ limit: 100 }), 3)).rejects.toMatchObject({ limit: 2 });
    await expect(queue.publish('tasks', 3)).rejects.toMatchObject({ limit: 2 });
    await queue.publishMany(defineQueue<number>('free', { maxLength: { limit: 1 } }), [1, 2]);
  });

  it('are merged member by member', async () => {
    const { queue } = await bed.start({
      queue: {
        queues: {
          tasks: { maxLength: { limit: 2 } },
          waits: { maxLength: { onFull: 'wait', waitMs: 0 } },
          rejects: { maxLength: { onFull: 'reject' } },
          short: { maxLength: { waitMs: 1 } },
        },
      },
    });
    const waiting = { limit: 1, onFull: 'wait', waitMs: 300_000 } as const;
    await queue.publishMany(limited({ limit: 1, onFull: 'wait', waitMs: 30 }), [1, 2]);
    await expect(queue.publish(limited({ limit: 1, onFull: 'wait', waitMs: 30 }), 3)).rejects.toThrow(
      "queue 'tasks' has 2 tasks, of at most 2, also after 30 ms",
    );
    const full = async (name: string, maxLength: LengthLimit, message: string): Promise<void> => {
      const Queue = defineQueue<number>(name, { maxLength });
      await queue.publish(Queue, 1);
      await expect(queue.publish(Queue, 2)).rejects.toThrow(message);
    };
    await full('waits', { limit: 1 }, 'of at most 1, also after 0 ms');
    await full('rejects', waiting, 'of at most 1; nothing was published');
    await full('short', waiting, 'of at most 1, also after 1 ms');
    await expect(queue.publish(defineQueue<number>('short', { maxLength: { limit: 1 } }), 1)).rejects.toThrow(
      "queue.queues.short.maxLength.waitMs must be left out unless onFull is 'wait', got 1",
    );
    await expect(queue.publish('waits', 1)).rejects.toThrow(
      'queue.queues.waits.maxLength.limit must be given, because the definition has no maxLength',
    );
  });

  it('of one named task are merged from the queue to the stream', async () => {
    const Files = defineQueue('files', { tasks: { import: payload<number>() } });
    const { queue } = await bed.start({
      queue: {
        queues: {
          'files.import': { maxLength: { limit: 1, onFull: 'wait', waitMs: 300_000 } },
          '{files}.import': { maxLength: { waitMs: 1 } },
        },
      },
    });
    await queue.publish(Files.tasks.import, 1);
    await expect(queue.publish(Files.tasks.import, 2)).rejects.toThrow('of at most 1, also after 1 ms');
  });

  it('are for one named task', async () => {
    const Files = defineQueue('files', { tasks: { import: payload<number>(), export: payload<number>() } });
    const { queue } = await bed.start({ queue: { queues: { 'files.import': { maxLength: { limit: 1 } } } } });
    await queue.publish(Files.tasks.import, 1);
    await expect(queue.publish(Files.tasks.import, 2)).rejects.toMatchObject({ queue: '{files}.import', limit: 1 });
    await queue.publishMany(Files.tasks.export, [1, 2]);
    const other = await bed.start({ queue: { queues: { files: { maxLength: { limit: 1 } } } } });
    await expect(other.queue.publish(Files.tasks.export, 1)).rejects.toThrow(
      "queue.queues.files.maxLength: 'files' has named tasks, and each has a length of its own: use queue.queues['files.export']",
    );
  });

  it.each<[unknown, string]>([
    [{}, "defineQueue('q').maxLength.limit must be given"],
    [{ limit: 0 }, "defineQueue('q').maxLength.limit must be a whole number ≥ 1"],
    [{ limit: 1, onFull: 'drop' }, "defineQueue('q').maxLength.onFull must be one of 'reject', 'wait'"],
    [{ limit: 1, waitMs: 5 }, "defineQueue('q').maxLength.waitMs must be left out unless onFull is 'wait'"],
    [{ limit: 1, onFull: 'wait', waitMs: -1 }, "defineQueue('q').maxLength.waitMs must be a number of milliseconds"],
    [5, "defineQueue('q').maxLength must be an options object"],
  ])('%j is refused', (maxLength, message) => {
    expect(() => defineQueue('q', { maxLength: maxLength as LengthLimit })).toThrow(message);
  });

  it('are refused for all named tasks together, and where they are nonsense in the configuration', async () => {
    const tasks = { import: payload<number>() };
    expect(() => defineQueue('files', { tasks, maxLength: { limit: 1 } } as never)).toThrow(
      "defineQueue('files').maxLength must be left out beside tasks",
    );
    const boot = (maxLength: Partial<LengthLimit>): Promise<unknown> =>
      bed.start({ queue: { queues: { a: { maxLength } } } });
    await expect(boot({})).rejects.toThrow('queue.queues.a.maxLength must be false, or an object with a limit');
    await expect(boot({ onFull: 'reject', waitMs: 1 })).rejects.toThrow('queue.queues.a.maxLength.waitMs must be left');
    await expect(boot({ limit: 0 })).rejects.toThrow('queue.queues.a.maxLength.limit must be a whole number');
    await expect(bed.start({ queue: { queues: [] as never } })).rejects.toThrow('queue.queues must be an object');
  });
});
