import { describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { commandDelta } from '../../../test/support/command-delta.js';
import { gate } from '../../../test/support/gate.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { SluiceError } from '../../weave/index.js';
import { DropTask, RetryTask, SnoozeTask, type Task } from '../index.js';

const bed = new QueueBed();
const { start, untilSettled } = bed;
const DELAYED = '{tasks}:~delayed';
const BODIES = '{tasks}:~bodies';

/** One run, as it was seen. */
interface Run {
  id: string;
  attempt: number;
  payload: unknown;
  atMs: number;
}

/** A handler that notes its runs and then does as it is told. */
function noted(runs: Run[], then: (task: Task<never>) => unknown = () => {}): (task: Task<never>) => unknown {
  return (task) => {
    runs.push({ id: task.id, attempt: task.attempt, payload: task.payload, atMs: performance.now() });
    return then(task);
  };
}

describe('a delayed task', () => {
  it('runs once its time has come, not before, and keeps the id that publish returned', async () => {
    const runs: Run[] = [];
    const { queue } = await start({ handlers: { tasks: noted(runs) } });
    const from = performance.now();
    const id = await queue.publish('tasks', { n: 1 }, { delayMs: 200 });
    expect(await bed.admin.zrange(DELAYED, '0', '-1')).toEqual([id]);
    expect(await bed.admin.xlen('tasks')).toBe(0);
    await until(() => runs.length === 1, { what: 'it ran' });
    expect(runs[0]).toMatchObject({ id, attempt: 1, payload: { n: 1 } });
    // Redis counts whole milliseconds.
    expect(runs[0]!.atMs - from).toBeGreaterThan(198);
    expect(runs[0]!.atMs - from).toBeLessThan(2_000);
    await untilSettled();
    expect(await bed.admin.exists(DELAYED, BODIES)).toBe(0);
  });

  it('wakes whoever sleeps until a later one', async () => {
    const runs: Run[] = [];
    const worker = await start({ handlers: { tasks: noted(runs) } });
    await until(async () => (await bed.admin.zcard('{tasks}:~alive')) === 1, { what: 'the worker lives' });
    const producer = await start({ queue: { consumers: false } });
    await producer.queue.publish('tasks', 'late', { delayMs: 60_000 });
    const { calls } = await commandDelta(bed.admin, async () => {
      await producer.queue.publish('tasks', 'early', { delayMs: 50 });
      await until(() => runs.length === 1, { what: 'the early one ran' });
    });
    expect(calls['publish']).toBe(1);
    expect(runs.map(({ payload }) => payload)).toEqual(['early']);
    expect(await bed.admin.zcard(DELAYED)).toBe(1);
    await worker.app.close();
  });

  it('runs though the message that should wake was lost', async () => {
    const runs: Run[] = [];
    await start({ handlers: { tasks: noted(runs) } });
    const now = Number((await bed.admin.time())[0]) * 1_000;
    // A producer of its own, in another language, that tells nobody.
    await bed.admin.hset(BODIES, 'x1', '3:"a"10:17000000001:011:{"id":"x1"}');
    await bed.admin.zadd(DELAYED, now, 'x1');
    await until(() => runs.length === 1, { what: 'it ran' });
    expect(runs[0]).toMatchObject({ id: 'x1', payload: 'a' });
  });

  it('is moved once, though several processes wait for it', async () => {
    const runs: Run[] = [];
    await Promise.all([1, 2, 3].map(() => start({ handlers: { tasks: noted(runs) } })));
    const producer = await start({ queue: { consumers: false } });
    const ids = await producer.queue.publishMany('tasks', [...new Array(450).keys()], { delayMs: 300 });
    expect(new Set(ids).size).toBe(450);
    await until(() => runs.length >= 450, { what: 'all ran' });
    await untilSettled();
    expect(runs.map(({ id }) => id).sort()).toEqual([...ids].sort());
  });

  it('runs after an outage, of which its due time was a part', async () => {
    const runs: Run[] = [];
    const { queue, connections } = await start({ handlers: { tasks: noted(runs) } });
    await queue.publish('tasks', 1, { delayMs: 150 });
    bed.redis.pause();
    connections.get().commands.reset();
    await pause(300);
    bed.redis.resume();
    await until(() => runs.length === 1, { what: 'it ran' });
    await untilSettled();
  });

  it('runs after Redis took no writes for a while, of which nobody tells', async () => {
    const runs: Run[] = [];
    const { queue, connections } = await start({ handlers: { tasks: noted(runs) } });
    await queue.publish('tasks', 1, { delayMs: 150 });
    await bed.admin.config('SET', 'min-replicas-to-write', '1');
    try {
      await until(() => connections.get().stats.refused > 0, { what: 'it was refused' });
    } finally {
      await bed.admin.config('SET', 'min-replicas-to-write', '0');
    }
    await until(() => runs.length === 1, { what: 'it ran' });
    await untilSettled();
  });

  it('comes due where nobody consumes, costs nothing more, and runs when somebody comes', async () => {
    const producer = await start({ queue: { consumers: false } });
    const id = await producer.queue.publish('tasks', 1, { delayMs: 1 });
    await until(async () => (await producer.queue.counts('tasks')).waiting === 1, { what: 'it is due' });
    const { calls } = await commandDelta(bed.admin, () => pause(50));
    expect(calls).toEqual({});
    const runs: Run[] = [];
    await start({ handlers: { tasks: noted(runs) } });
    await until(() => runs.length === 1, { what: 'it ran' });
    expect(runs[0]!.id).toBe(id);
  });

  it.each([{ delayMs: -1 }, { delayMs: NaN }, { maxAttempts: 0 }, { delay: 5 }])(
    'is refused with %j',
    async (options) => {
      const { queue } = await start({ queue: { consumers: false } });
      await expect(queue.publish('tasks', 1, options)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
      await expect(queue.publishMany('tasks', [1], options)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    },
  );
});

describe('a task that fails', () => {
  it('rests between its attempts as backoff says, and keeps its id', async () => {
    const runs: Run[] = [];
    const failing = noted(runs, () => {
      throw new Error('no');
    });
    const { queue } = await start({
      handlers: { tasks: { run: failing, options: { backoff: [150, 300], maxAttempts: 3 } } },
    });
    const id = await queue.publish('tasks', 1, { delayMs: 10 });
    await until(async () => (await bed.books.letters()).length === 1, { what: 'there is a dead letter' });
    expect(runs.map(({ id: each, attempt }) => [each, attempt])).toEqual([
      [id, 1],
      [id, 2],
      [id, 3],
    ]);
    const [first, second, third] = runs.map(({ atMs }) => atMs) as [number, number, number];
    expect(second - first).toBeGreaterThan(148);
    expect(third - second).toBeGreaterThan(298);
    expect(await bed.books.letters()).toEqual([
      expect.objectContaining({ original_id: id, reason: 'max-attempts', attempts: '3' }),
    ]);
    expect(await bed.admin.exists(DELAYED, BODIES)).toBe(0);
    await untilSettled();
  });

  it('has the attempts that its publish gave it', async () => {
    const runs: Run[] = [];
    const { queue } = await start({
      handlers: {
        tasks: noted(runs, () => {
          throw new Error('no');
        }),
      },
    });
    await queue.publish('tasks', 'once', { maxAttempts: 1 });
    await queue.publish('tasks', 'five', { maxAttempts: 5, delayMs: 1 });
    await until(async () => (await bed.books.letters()).length === 2, { what: 'both are dead letters' });
    const count = (payload: string): number => runs.filter((run) => run.payload === payload).length;
    expect([count('once'), count('five')]).toEqual([1, 5]);
  });
});

describe('a handler says what becomes of its task:', () => {
  /** Does on its n-th run what the n-th step says. */
  async function play(...steps: (() => unknown)[]): Promise<{ id: string; runs: Run[] }> {
    const runs: Run[] = [];
    const { queue } = await start({ handlers: { tasks: noted(runs, () => steps[runs.length - 1]?.()) } });
    const id = await queue.publish('tasks', 1);
    await until(() => runs.length >= steps.length, { what: 'all steps were played' });
    await until(async () => (await bed.admin.exists(DELAYED)) === 0, { what: 'nothing is delayed' });
    await untilSettled();
    return { id, runs };
  }
  const raise = (error: unknown) => (): never => {
    throw error;
  };

  it('again, later', async () => {
    const { id, runs } = await play(raise(new RetryTask({ delayMs: 120 })), () => {});
    expect(runs.map((run) => [run.id, run.attempt])).toEqual([
      [id, 1],
      [id, 2],
    ]);
    expect(runs[1]!.atMs - runs[0]!.atMs).toBeGreaterThan(118);
  });

  it('not now, more often than it has attempts', async () => {
    const snooze = raise(new SnoozeTask({ delayMs: 5 }));
    const { runs } = await play(snooze, snooze, snooze, snooze, () => {});
    expect(runs.map(({ attempt }) => attempt)).toEqual([1, 1, 1, 1, 1]);
    expect(await bed.books.letters()).toEqual([]);
  });

  it('never mind', async () => {
    const { runs } = await play(raise(new DropTask()));
    expect(runs).toHaveLength(1);
    expect(await bed.books.letters()).toEqual([]);
  });

  it('it is hopeless', async () => {
    const runs: Run[] = [];
    const { queue } = await start({
      handlers: { tasks: noted(runs, (task) => task.deadLetter('card expired', { cause: new Error('402') })) },
    });
    const id = await queue.publish('tasks', 1);
    await until(async () => (await bed.books.letters()).length === 1, { what: 'there is a dead letter' });
    expect(await bed.books.letters()).toEqual([
      expect.objectContaining({ original_id: id, reason: 'card expired', attempts: '1' }),
    ]);
    expect(runs).toHaveLength(1);
  });

  it('a backend is down: no attempt is burned, and the count of deferrals ends with a failure of its own', async () => {
    const busy = new SluiceError('SLUICE_LOCK_TIMEOUT', 'busy');
    const runs: Run[] = [];
    const { queue } = await start({
      handlers: { tasks: { run: noted(runs, raise(busy)), options: { maxAttempts: 1, maxDeferMs: 1 } } },
    });
    const id = await queue.publish('tasks', 1);
    await until(async () => (await bed.admin.zcard(DELAYED)) === 1, { what: 'it was put off' });
    const body = (await bed.admin.hget(BODIES, id))!;
    expect(body).toMatch(new RegExp(`"id":"${id}","defers":1,"deferredMs":\\d{13}}$`));
    await until(async () => (await bed.books.letters()).length === 1, { what: 'maxDeferMs are over' });
    expect(runs.map(({ attempt }) => attempt)).toEqual([1, 1]);
    expect(await bed.books.letters()).toEqual([expect.objectContaining({ reason: 'max-defer', attempts: '0' })]);
  });
});

describe('timeoutMs', () => {
  it('aborts the signal; what the handler throws then is a failed attempt, what it returns a success', async () => {
    const reasons: unknown[] = [];
    const { queue } = await start({
      handlers: {
        tasks: {
          run: async ({ signal, attempt, id }: Task<never>) => {
            await new Promise((resolve) => {
              signal.addEventListener('abort', resolve);
            });
            reasons.push({ attempt, id, code: (signal.reason as SluiceError).code });
            if (attempt === 1) throw signal.reason;
          },
          options: { timeoutMs: 60 },
        },
      },
    });
    const id = await queue.publish('tasks', 1);
    await until(() => reasons.length === 2, { what: 'it ran twice' });
    await untilSettled();
    const code = 'SLUICE_TASK_TIMEOUT';
    expect(reasons).toEqual([
      { attempt: 1, id, code },
      { attempt: 2, id, code },
    ]);
    expect(await bed.books.letters()).toEqual([]);
  });

  it('gives up a handler that goes on regardless: its place is free, and its late end changes nothing', async () => {
    const { opened, open } = gate();
    const runs: unknown[] = [];
    const { queue } = await start({
      handlers: {
        tasks: {
          run: (task: Task<string>) => {
            runs.push(task.payload);
            return task.payload === 'hangs' ? opened : undefined;
          },
          options: { timeoutMs: 60, maxAttempts: 1, concurrency: 1 },
        },
      },
    });
    await queue.publish('tasks', 'hangs');
    await queue.publish('tasks', 'next');
    await until(() => runs.length === 2, { what: 'the next one ran' });
    await untilSettled();
    const [letter] = await bed.books.letters();
    expect(letter).toMatchObject({
      reason: 'max-attempts',
      error: expect.stringMatching(/^TaskTimeoutError: .*60 ms/),
    });
    open();
    await pause(20);
    expect(await bed.books.letters()).toHaveLength(1);
  });
});
