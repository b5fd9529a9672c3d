import { describe, expect, it } from '@jest/globals';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { batchModule } from '../../../test/support/batch-handler.js';
import { gate } from '../../../test/support/gate.js';
import { COUNT, MAILS, NotesBed, note, type Run } from '../../../test/support/notes-bed.js';
import { until } from '../../../test/support/until.js';
import { defineQueue, type Task } from '../index.js';

const bed = new NotesBed();
const { handle: start, count, mails } = bed;
const LONG = { timeoutMs: 600_000 };

describe('tasks that follow', () => {
  it('run with their options: later, with their own attempts, and with the id that was told', async () => {
    const ran: Task<number>[] = [];
    const followed = gate();
    const { queue } = await bed.start({
      handlers: {
        tasks: (task: Task<number>) => {
          task.next(MAILS, 1, { delayMs: 5, maxAttempts: 2 });
          task.next(MAILS, 2, { runAt: new Date(0) });
        },
        [MAILS]: (task: Task<number>) => {
          ran.push(task);
          if (task.payload === 1) {
            if (task.attempt === 2) followed.open();
            throw new Error('on purpose');
          }
        },
      },
    });
    await queue.publish('tasks', 0);
    await followed.opened;
    await until(async () => (await bed.admin.xlen(`{tasks}.mails:~dead`)) === 1, { what: 'it is given up' });
    expect(ran.map(({ payload, attempt }) => [payload, attempt]).sort()).toEqual([
      [1, 1],
      [1, 2],
      [2, 1],
    ]);
  });

  it('that are due later come into a stream that no worker of ours reads', async () => {
    const { queue } = await start((task) => {
      task.next(MAILS, 7, { delayMs: 5 });
    });
    await queue.publish('tasks', 0);
    await until(async () => (await mails()).length === 1, { what: 'it is due' });
  });

  it('are told on the channel of publishes, with their ids', async () => {
    const published: unknown[] = [];
    const heard = (message: unknown): void => void published.push(message);
    subscribe('sluice:queue:published', heard);
    try {
      const { queue } = await start((task) => {
        task.next(MAILS, 1);
        task.next(MAILS, 2, { delayMs: 600_000 });
      });
      await queue.publish('tasks', 0);
      await until(() => published.length === 3, { what: 'all are told' });
      const later = await bed.admin.zrange('{tasks}.mails:~delayed', '0', '-1');
      expect(published.slice(1)).toEqual([
        { queue: MAILS, id: (await mails())[0]!['id'], delayMs: 0 },
        { queue: MAILS, id: later[0], delayMs: 600_000 },
      ]);
    } finally {
      unsubscribe('sluice:queue:published', heard);
    }
  });

  it('are taken by a queue whose maxLength is reached', async () => {
    const Full = defineQueue(MAILS, { maxLength: { limit: 1, onFull: 'reject' } });
    const { queue } = await start((task) => {
      task.next(Full, task.payload);
    });
    await queue.publishMany('tasks', [1, 2, 3]);
    await bed.untilSettled();
    expect((await mails()).length).toBe(3);
    await expect(queue.publish(Full, 4)).rejects.toMatchObject({ code: 'SLUICE_QUEUE_FULL' });
  });

  it('carry the trace that is active in the handler', async () => {
    const { queue } = await start(
      note,
      {},
      {
        queue: {
          propagation: {
            inject: (carrier) => {
              carrier['traceparent'] = 'active';
            },
          },
        },
      },
    );
    await queue.publish('tasks', 1);
    await until(async () => (await mails()).length === 1, { what: 'it follows' });
    expect((await mails())[0]!['meta']).toBe('{"traceparent":"active"}');
  });
});

describe('notes', () => {
  it('go with the result, for which the publisher waits', async () => {
    const { queue } = await start((task) => {
      note(task);
      return { count: task.payload };
    });
    expect(await queue.publishAndWait('tasks', 5, LONG)).toEqual({ count: 5 });
    expect([await count(), (await mails()).length]).toEqual([5, 1]);
  });

  it('go with the result of a task that others have joined by its key', async () => {
    const door = gate();
    const { queue } = await start(async (task) => {
      note(task);
      await door.opened;
      return task.payload;
    });
    const waits = [1, 2].map(() => queue.publishAndWait('tasks', 5, { ...LONG, key: 'k' }));
    await until(async () => (await bed.admin.keys('*~waiters:*')).length === 1, { what: 'one has joined' });
    door.open();
    expect(await Promise.all(waits)).toEqual([5, 5]);
    expect(await count()).toBe(5);
  });

  it('fail the wait as well, if they are refused to the end', async () => {
    await bed.admin.set(COUNT, 'x');
    const { queue } = await start(note, { maxAttempts: 2 });
    const failed = await queue.publishAndWait('tasks', 5, LONG).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: 'SLUICE_TASK_FAILED', how: 'dead', attempts: 2 });
    expect((failed as Error).message).toContain('INCRBY');
  });

  it('go with the last of a publishMany, which counts its members as ever', async () => {
    const { queue } = await start(note);
    await queue.publishMany('tasks', [1, 2, 3], { whenAllSettled: { queue: '{tasks}.all', payload: 'x' } });
    await until(async () => (await bed.admin.xlen('{tasks}.all')) === 1, { what: 'all have ended' });
    const [[, fields]] = (await bed.admin.xrange('{tasks}.all', '-', '+')) as [[string, string[]]];
    expect(fields[1]).toBe('{"payload":"x","counts":{"total":3,"completed":3,"failed":0,"removed":0}}');
    expect(await count()).toBe(6);
  });

  it('free the key under which their task was published', async () => {
    const { queue } = await start(note);
    const publish = async (): Promise<string> => (await queue.publishUnique('tasks', 1, { key: 'k' })).outcome;
    expect(await publish()).toBe('published');
    await until(async () => (await bed.admin.keys('*~key:*')).length === 0, { what: 'nothing is known of the key' });
    expect([await count(), await publish()]).toEqual([1, 'published']);
  });

  it('belong to each group by itself, also on its own retries', async () => {
    const door = gate();
    const run =
      (group: string): Run =>
      async (task) => {
        await door.opened;
        task.onAck([['hincrby', '{tasks}:groups', group, 1]]);
        task.next(MAILS, group);
        if (group === 'b' && task.attempt === 1) throw new Error('again');
      };
    await start(run('a'), { group: 'a' });
    const { queue } = await start(run('b'), { group: 'b' });
    await queue.publishMany('tasks', [1, 2]);
    door.open();
    await until(async () => (await mails()).length === 4, { what: 'both have done both' });
    expect(await bed.admin.hgetall('{tasks}:groups')).toEqual({ a: '2', b: '2' });
  });

  it('of a batch belong to each of its tasks: one that fails alone drops its own', async () => {
    const runs: number[] = [];
    const handlers = batchModule('tasks', { batch: { max: 100 }, maxAttempts: 1 }, (tasks: readonly Task<number>[]) => {
      runs.push(tasks.length);
      for (const task of tasks) {
        note(task);
        if (task.payload === 100) task.fail(new Error('alone'));
      }
    });
    const { queue } = await bed.start({ queue: { consumers: false } });
    await queue.publishMany('tasks', [1, 10, 100, 1_000]);
    await bed.start({ imports: [handlers] });
    await bed.untilSettled();
    expect(runs).toEqual([4]);
    expect(await count()).toBe(1_011);
    expect((await mails()).map(({ payload }) => payload).sort()).toEqual(['1', '10', '1000']);
    expect((await bed.books.letters()).map(({ payload }) => payload)).toEqual(['100']);
  });

  it('of a batch that throws are dropped, all of them', async () => {
    const handlers = batchModule('tasks', { batch: { max: 100 }, maxAttempts: 1 }, (tasks: readonly Task<number>[]) => {
      for (const task of tasks) note(task);
      throw new Error('all');
    });
    const { queue } = await bed.start({ imports: [handlers] });
    await queue.publishMany('tasks', [1, 2]);
    await until(async () => (await bed.books.letters()).length === 2, { what: 'both are given up' });
    expect([await count(), await mails()]).toEqual([0, []]);
  });

  it('are refused where tasks have keys: their end opens the next task of the key', async () => {
    const thrown: unknown[] = [];
    const next = (task: Task<number>): void => {
      task.next(MAILS, 1);
    };
    const run = (task: Task<number>): void => {
      for (const what of [note, next]) {
        try {
          what(task);
        } catch (error) {
          thrown.push(error);
        }
      }
    };
    const options = { concurrency: { process: 2, perKey: 1, by: 'user' } };
    const { queue } = await bed.start({ handlers: { tasks: { run, options } } });
    await queue.publish('tasks', { user: 'a' });
    await bed.untilSettled();
    const refused = { code: 'SLUICE_BAD_OPTION', message: expect.stringContaining('concurrency.perKey') };
    expect(thrown).toMatchObject([refused, refused]);
  });

  it('are no part of what tasks without them cost: they are acknowledged together', async () => {
    const before = await bed.admin.info('commandstats');
    const calls = (info: string): number => Number(/cmdstat_xpending:calls=(\d+)/.exec(info)?.[1] ?? 0);
    const { queue } = await start((task) => {
      expect(task.noted.writes).toEqual([]);
    });
    await queue.publishMany(
      'tasks',
      Array.from({ length: 100 }, (_, i) => i),
    );
    await bed.untilSettled();
    // A commit asks XPENDING for each task; a few calls are those of the worker's own checks.
    expect(calls(await bed.admin.info('commandstats')) - calls(before)).toBeLessThan(50);
  });
});
