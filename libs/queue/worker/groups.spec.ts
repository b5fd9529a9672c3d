import { describe, expect, it } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import { gate } from '../../../test/support/gate.js';
import type { QueueApp } from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { RetryTask, TaskHandler, type Task } from '../index.js';
import { RELEASED } from '../store/queue.keys.js';

const LEASE_MS = 300;
const bed = new QueueBed();
const start = (group: string, run: (task: Task<never>) => unknown): Promise<QueueApp> =>
  bed.start({ handlers: { tasks: { run, options: { group } } }, queue: { leaseMs: LEASE_MS } });

/** Of all the keys of the queue, those that are streams and hold something. */
async function leftovers(): Promise<string[]> {
  const found: string[] = [];
  for (const key of await bed.admin.keys('*')) {
    if ((await bed.admin.type(key)) === 'stream' && (await bed.admin.xlen(key)) > 0) found.push(key);
  }
  return found;
}

const untilNothingIsLeft = (): Promise<unknown> =>
  until(async () => (await leftovers()).length === 0, { what: 'nothing is left' });

describe('two groups on one queue', () => {
  it('each get every task once, and nothing is left when both are done', async () => {
    const seen: Record<string, number[]> = { a: [], b: [] };
    const { queue } = await start('a', (task: Task<number>) => void seen['a']!.push(task.payload));
    await start('b', (task: Task<number>) => void seen['b']!.push(task.payload));
    const all = [...new Array(300).keys()];
    await queue.publishMany('tasks', all);
    await until(() => seen['a']!.length === 300 && seen['b']!.length === 300, { what: 'both are done' });
    await untilNothingIsLeft();
    expect(seen['a']!.sort((x, y) => x - y)).toEqual(all);
    expect(seen['b']!.sort((x, y) => x - y)).toEqual(all);
  });

  it('keep their retries to themselves, and each dead letter tells whose it is', async () => {
    const runs: string[] = [];
    const { queue } = await start('a', (task) => {
      runs.push(`a ${task.attempt}`);
      if (task.attempt < 3) throw new Error('not yet');
    });
    await start('b', (task) => {
      runs.push(`b ${task.attempt}`);
      throw new Error('never');
    });
    await start('c', () => void runs.push('c'));
    const id = await queue.publish('tasks', 1);
    await until(async () => (await bed.books.letters()).length > 0 && runs.length === 7, { what: 'all are done' });
    expect(runs.sort()).toEqual(['a 1', 'a 2', 'a 3', 'b 1', 'b 2', 'b 3', 'c']);
    expect(await bed.books.letters()).toMatchObject([{ group: 'b', original_id: id, attempts: '3' }]);
    await until(async () => (await leftovers()).join() === '{tasks}:~dead', { what: 'nothing else is left' });
  });

  it('can have their handlers in one process, which share nothing', async () => {
    const seen: string[] = [];
    @Injectable()
    class Handlers {
      @TaskHandler('tasks', { group: 'mail', concurrency: 1 })
      async mail({ payload }: Task<number>): Promise<void> {
        // Whoever waits here keeps the other waiting, if they share places.
        await until(() => seen.includes(`bill ${payload}`), { what: 'the other handler ran' });
        seen.push(`mail ${payload}`);
      }

      @TaskHandler('tasks', { group: 'bill', concurrency: 1 })
      bill({ payload }: Task<number>): void {
        seen.push(`bill ${payload}`);
      }
    }
    @Module({ providers: [Handlers] })
    class Both {}
    const { queue } = await bed.start({ imports: [Both], queue: { leaseMs: LEASE_MS } });
    await queue.publishMany('tasks', [1, 2]);
    await until(() => seen.length === 4, { what: 'both ran both' });
    expect(seen.sort()).toEqual(['bill 1', 'bill 2', 'mail 1', 'mail 2']);
    await untilNothingIsLeft();
  });

  it('leave a handler no more in hand than it has room for, though the queue and its retries have some for it', async () => {
    const retry = '{tasks}:~retry:a';
    for (const group of ['a', 'b']) await bed.admin.xgroup('CREATE', 'tasks', group, '0', 'MKSTREAM');
    const payload = (n: number): string[] => ['payload', String(n), 'timestamp', '1700000000', 'retry_count', '0'];
    for (const n of [1, 2, 3]) await bed.admin.xadd('tasks', '*', ...payload(n));
    for (const n of [4, 5, 6]) await bed.admin.xadd(retry, '*', ...payload(n));
    const gates = [gate(), gate()];
    const runs: number[] = [];
    await bed.start({
      handlers: {
        tasks: {
          run: async ({ payload: n }: Task<number>) => {
            runs.push(n);
            await gates[runs.length - 1]?.opened;
          },
          options: { group: 'a', concurrency: 1 },
        },
      },
      queue: { leaseMs: LEASE_MS },
    });
    const leaseEnds = async (): Promise<number> =>
      Number((await bed.admin.zrange('{tasks}:~alive', '0', '0', 'WITHSCORES'))[1]);
    await until(() => runs.length === 1, { what: 'the first runs' });
    const firstEnds = await leaseEnds();
    // So slow a task lets it fetch none in advance; and the retries are read by then.
    await until(async () => (await leaseEnds()) > firstEnds + 250, { what: 'the lease goes on' });
    expect((await bed.admin.xinfo('GROUPS', retry)) as unknown[]).toHaveLength(1);
    gates[0]!.open();
    await until(() => runs.length === 2, { what: 'the second runs' });
    const inHand = async (stream: string): Promise<number> => {
      const rows = (await bed.admin.xpending(stream, 'a', '-', '+', 10)) as [string, string][];
      return rows.filter(([, consumer]) => consumer !== RELEASED).length;
    };
    await until(async () => (await inHand('tasks')) + (await inHand(retry)) === 1, { what: 'it has one in hand' });
    gates[1]!.open();
    await until(() => runs.length === 6, { what: 'all ran' });
    await until(async () => (await bed.admin.xlen(retry)) === 0, { what: 'the retries are settled' });
    expect(runs.sort()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  describe('of which the first was alone when its processes began', () => {
    // What is found once per lease, or by a renewal, comes minutes later.
    const queue = { leaseMs: 600_000 };
    const startAlone = async (run: (task: Task<string>) => unknown): Promise<QueueApp> => {
      const seen: string[] = [];
      const app = await bed.start({
        handlers: {
          tasks: {
            run: (task: Task<string>) => {
              seen.push(task.payload);
              return run(task);
            },
            options: { group: 'first' },
          },
        },
        queue,
      });
      const reads = async (): Promise<boolean> => {
        await app.queue.publish('tasks', 'any');
        return seen.length > 0;
      };
      // By then it has looked for other groups.
      await until(reads, { what: 'it reads' });
      await bed.untilSettled();
      return app;
    };
    const startSecond = (): Promise<QueueApp> =>
      bed.start({ handlers: { tasks: { run: () => {}, options: { group: 'second' } } }, queue });

    it.each([0, 50])('try a task again that failed, %i ms later', async (delayMs) => {
      const attempts: number[] = [];
      const app = await startAlone(({ payload, attempt }) => {
        if (payload !== 'fails') return;
        attempts.push(attempt);
        if (attempt === 1) throw new RetryTask({ delayMs });
      });
      await startSecond();
      await app.queue.publish('tasks', 'fails');
      await until(() => attempts.length === 2, { what: 'it is tried again' });
    });

    it('try it again in another process of the group, if the one that failed has stopped', async () => {
      const runs: { by: string; attempt: number }[] = [];
      const run =
        (by: string) =>
        ({ payload, attempt }: Task<string>): void => {
          if (payload !== 'fails') return;
          runs.push({ by, attempt });
          if (attempt === 1) throw new RetryTask({ delayMs: 600_000 });
        };
      const apps = { one: await startAlone(run('one')), two: await startAlone(run('two')) };
      await startSecond();
      const id = await apps.one.queue.publish('tasks', 'fails');
      await until(async () => (await bed.admin.zcard('{tasks}:~delayed:first')) === 1, {
        what: 'the retry is delayed',
      });
      const [stopped, other] = runs[0]?.by === 'one' ? [apps.one, apps.two] : [apps.two, apps.one];
      await stopped.app.close();
      await other.queue.runNow('tasks', id);
      await until(() => runs.length === 2, { what: 'the other one tries it again' });
      expect(runs.map(({ attempt }) => attempt)).toEqual([1, 2]);
      expect(runs[1]?.by).not.toBe(runs[0]?.by);
    });
  });

  it('each get what an app publishes as soon as it is up, also at the first start of its group', async () => {
    await start('a', () => {});
    for (const group of ['b', 'c', 'd', 'e', 'f']) {
      const seen: unknown[] = [];
      const { queue } = await start(group, (task: Task<string>) => void seen.push(task.payload));
      const mine = [1, 2, 3, 4, 5].map((n) => `${group}${n}`);
      await queue.publishMany('tasks', mine);
      // It may get what was published earlier as well, and is still there.
      await until(() => mine.every((each) => seen.includes(each)), { what: `group ${group} gets all five` });
    }
    await untilNothingIsLeft();
  });

  it('and a group that is made later gets what the others have not finished', async () => {
    const seen: number[] = [];
    const [begun, done] = [gate(), gate()];
    const { queue } = await start('a', async () => {
      begun.open();
      await done.opened;
    });
    await queue.publish('tasks', 1);
    await begun.opened;
    await start('late', (task: Task<number>) => void seen.push(task.payload));
    await queue.publish('tasks', 2);
    await until(() => seen.length === 2, { what: 'the late one got both' });
    expect(seen.sort()).toEqual([1, 2]);
    done.open();
    await untilNothingIsLeft();
  });
});

describe('clients of other software', () => {
  const payload = ['payload', '{"n":1}', 'timestamp', '1700000000', 'retry_count', '0'];

  it('publish, and it is handled', async () => {
    const seen: Task<never>[] = [];
    await start('sluice', (task) => void seen.push(task));
    const id = await bed.admin.xadd('tasks', '*', ...payload);
    await until(() => seen.length === 1, { what: 'it ran' });
    expect(seen[0]).toMatchObject({ id, payload: { n: 1 }, attempt: 1 });
    await bed.untilSettled();
  });

  it('consume in a group of their own and only acknowledge: what they are done with does not stay', async () => {
    const { queue } = await start('sluice', () => {});
    await bed.admin.xgroup('CREATE', 'tasks', 'other', '0', 'MKSTREAM');
    const ids = await queue.publishMany('tasks', [1, 2, 3]);
    const reply = (await bed.admin.xreadgroup('GROUP', 'other', 'x', 'COUNT', 10, 'STREAMS', 'tasks', '>')) as [
      string,
      [string, string[]][],
    ][];
    expect(reply[0]![1].map(([id, [, text]]) => [id, text])).toEqual(ids.map((id, i) => [id, String(i + 1)]));
    expect(await bed.admin.xlen('tasks')).toBe(3);
    await bed.admin.xack('tasks', 'other', ...ids);
    await untilNothingIsLeft();
  });

  it('consume in our group, and what one of them never acknowledged is taken over', async () => {
    await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0', 'MKSTREAM');
    const id = await bed.admin.xadd('tasks', '*', ...payload);
    await bed.admin.xreadgroup('GROUP', 'sluice', 'python', 'COUNT', 1, 'STREAMS', 'tasks', '>');
    const seen: Task<never>[] = [];
    await bed.start({
      handlers: { tasks: (task) => void seen.push(task) },
      queue: { leaseMs: 200, foreignIdleMs: 500 },
    });
    await until(() => seen.length === 1, { what: 'it was taken over' });
    expect(seen[0]).toMatchObject({ id, deliveries: 2 });
    await bed.untilSettled();
    expect((await bed.admin.xinfo('CONSUMERS', 'tasks', 'sluice')) as unknown[][]).toContainEqual(
      expect.arrayContaining(['python']),
    );
  });
});
