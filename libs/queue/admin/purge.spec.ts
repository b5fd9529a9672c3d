import { describe, expect, it, jest } from '@jest/globals';
import { gate } from '../../../test/support/gate.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { defineQueue, payload, type PurgeState, type QueueService, type Task } from '../index.js';
import { RELEASED } from '../store/queue.keys.js';

const bed = new QueueBed();
const producer = async (): Promise<QueueService> => (await bed.start({ queue: { consumers: false } })).queue;

/** Entries are handed to `consumer`. */
const read = (count: number, consumer: string, group = 'sluice', stream = 'tasks'): Promise<unknown> =>
  bed.admin.xreadgroup('GROUP', group, consumer, 'COUNT', count, 'STREAMS', stream, '>');
const newGroup = (group = 'sluice', stream = 'tasks'): Promise<unknown> =>
  bed.admin.xgroup('CREATE', stream, group, '0', 'MKSTREAM');

describe('purge', () => {
  it('removes what waits, also what was returned, and leaves what runs', async () => {
    const queue = await producer();
    await newGroup();
    const ids = await queue.publishMany('tasks', [...new Array(1_300).keys()]);
    await read(2, 'foreign');
    await read(3, RELEASED);
    await queue.publish('tasks', 'later', { delayMs: 60_000 });
    expect(await queue.purge('tasks', 'waiting')).toBe(1_298);
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, running: 2, delayed: 1 });
    expect((await bed.admin.xrange('tasks', '-', '+')).map(([id]) => id)).toEqual(ids.slice(0, 2));
    expect(await queue.purge('tasks', 'waiting')).toBe(0);
  });

  it('removes delayed tasks and dead letters, and what leads to them', async () => {
    const handlers = { tasks: { run: () => Promise.reject(new Error('no')), options: { maxAttempts: 1 } } };
    const { queue } = await bed.start({ handlers });
    await queue.publishMany('tasks', [1, 2, 3]);
    await until(async () => (await queue.counts('tasks')).dead === 3, { what: 'all are dead letters' });
    const later = await queue.publishMany('tasks', [...new Array(700).keys()], { delayMs: 60_000 });
    expect(await queue.purge('tasks', 'delayed')).toBe(700);
    expect(await queue.counts('tasks')).toMatchObject({ delayed: 0, dead: 3 });
    expect(await queue.inspect('tasks', later[0]!)).toBeUndefined();
    expect(await bed.admin.exists('{tasks}:~delayed', '{tasks}:~bodies')).toBe(0);
    expect(await queue.purge('tasks', 'dead')).toBe(3);
    expect(await bed.admin.exists('{tasks}:~dead', '{tasks}:~dead-index')).toBe(0);
  });

  it('removes a task whose entry has another id, and what leads to it', async () => {
    const queue = await producer();
    const id = await queue.publish('tasks', 1, { delayMs: 1 });
    await until(async () => (await queue.counts('tasks')).waiting === 1, { what: 'it is promoted' });
    expect(await bed.admin.zcard('{tasks}:~index')).toBe(1);
    expect(await queue.purge('tasks', 'waiting')).toBe(1);
    expect(await queue.inspect('tasks', id)).toBeUndefined();
    expect(await bed.admin.zcard('{tasks}:~index')).toBe(0);
  });

  it('leaves what is published once it has begun, however much that is', async () => {
    const queue = await producer();
    await newGroup();
    await queue.publishMany('tasks', [...new Array(600).keys()]);
    const { connections, queue: purging } = await bed.start({ queue: { consumers: false } });
    const { commands } = connections.get();
    const send = commands.send.bind(commands);
    let published = 0;
    // Between any two steps, more tasks come than a step removes.
    const steps = jest.spyOn(commands, 'send').mockImplementation(async (command, args, options) => {
      const reply = await send(command, args, options);
      if (String(args?.[2]) === 'tasks' && published < 20_000) {
        published += 1_000;
        await queue.publishMany('tasks', new Array(1_000).fill('new'));
      }
      return reply;
    });
    expect(await purging.purge('tasks', 'waiting')).toBe(600);
    steps.mockRestore();
    expect((await queue.counts('tasks')).waiting).toBe(published);
    expect(published).toBeGreaterThan(1_000);
  });

  it('is for one group, and keeps what another one has begun', async () => {
    const queue = await producer();
    await newGroup('a');
    await newGroup('b');
    const ids = await queue.publishMany('tasks', [1, 2, 3, 4]);
    await read(2, 'foreign', 'b');
    await bed.admin.xack('tasks', 'b', ids[0]!);
    await newGroup('a', '{tasks}:~retry:a');
    await bed.admin.xadd('{tasks}:~retry:a', '*', 'payload', '5');
    await bed.admin.zadd('{tasks}:~delayed:a', Date.now() + 60_000, 'six');
    await bed.admin.zadd('{tasks}:~delayed:b', Date.now() + 60_000, 'seven');

    expect(await queue.purge('tasks', 'delayed', { group: 'a' })).toBe(1);
    expect(await bed.admin.zcard('{tasks}:~delayed:b')).toBe(1);
    // The second one is with a worker of b, whose settlement must find the entry.
    expect(await queue.purge('tasks', 'waiting', { group: 'a' })).toBe(4);
    expect((await bed.admin.xrange('tasks', '-', '+')).map(([id]) => id)).toEqual([ids[1]]);
    expect(await bed.admin.xlen('{tasks}:~retry:a')).toBe(0);
    await expect(queue.purge('tasks', 'waiting', { group: 'c' })).rejects.toMatchObject({
      code: 'SLUICE_QUEUE_NO_GROUP',
      message: expect.stringContaining("'a', 'b'"),
    });
  });

  it('keeps what a group has settled and another has not: it does not wait for the first', async () => {
    const queue = await producer();
    await newGroup('a');
    await newGroup('b');
    const ids = await queue.publishMany('tasks', [1, 2]);
    await read(1, 'foreign', 'a');
    await bed.admin.xack('tasks', 'a', ids[0]!);
    expect(await queue.purge('tasks', 'waiting', { group: 'a' })).toBe(1);
    expect((await queue.list('tasks', { group: 'b' })).tasks).toMatchObject([{ id: ids[0] }]);
  });

  it('is of all names of a queue of named tasks', async () => {
    const Files = defineQueue('files', { tasks: { import: payload<number>(), export: payload<number>() } });
    const queue = await producer();
    await queue.publishMany(Files.tasks.import, [1, 2]);
    await queue.publish(Files.tasks.export, 3);
    expect(await queue.purge(Files, 'waiting')).toBe(3);
    expect(await queue.counts(Files)).toMatchObject({ waiting: 0 });
  });

  it('says which states there are', async () => {
    const queue = await producer();
    for (const state of ['running', 'dropped', undefined]) {
      await expect(queue.purge('tasks', state as PurgeState)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    }
  });

  it('leaves a queue with data of a newer release alone', async () => {
    const queue = await producer();
    await queue.publishMany('tasks', [1, 2]);
    await queue.publish('tasks', 3, { delayMs: 60_000 });
    await bed.admin.hset('{tasks}:~uses', 'lanes', '9.0.0 0');
    for (const state of ['waiting', 'delayed', 'dead'] as const) {
      await expect(queue.purge('tasks', state)).rejects.toMatchObject({ code: 'SLUICE_NEWER_DATA' });
    }
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 2, delayed: 1 });
  });

  it('loses nothing that runs: what a worker has is finished, and settled', async () => {
    const { opened, open } = gate();
    const runs: unknown[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: {
          run: async (task: Task<number>) => {
            runs.push(task.payload);
            await opened;
          },
          options: { concurrency: 2 },
        },
      },
    });
    await queue.publishMany('tasks', [...new Array(100).keys()]);
    await until(() => runs.length === 2, { what: 'two run' });
    await queue.pause('tasks');
    await until(async () => (await queue.counts('tasks')).running === 2, { what: 'the rest is returned' });
    expect(await queue.purge('tasks', 'waiting')).toBe(98);
    open();
    await queue.resume('tasks');
    await bed.untilSettled();
    expect(runs).toHaveLength(2);
  });
});

describe('runNow', () => {
  it('makes a delayed task due at once, also where no worker knows of delays', async () => {
    const queue = await producer();
    const id = await queue.publish('tasks', 1, { delayMs: 3_600_000 });
    expect(await queue.runNow('tasks', id)).toBe(true);
    await until(async () => (await queue.counts('tasks')).waiting === 1, { what: 'it waits for a consumer' });
    expect(await queue.runNow('tasks', id)).toBe(false);
    expect(await queue.runNow('tasks', 'no such id')).toBe(false);
    expect(await queue.runNow('tasks', { key: 'no such key' })).toBe(false);
  });

  it('makes the next attempt of a failed task due at once: a worker is told, long before its next renewal', async () => {
    const attempts: number[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: {
          run: ({ attempt }: Task) => {
            attempts.push(attempt);
            if (attempt < 2) throw new Error('no');
          },
          options: { backoff: 3_600_000 },
        },
      },
      queue: { leaseMs: 600_000 },
    });
    const id = await queue.publish('tasks', 1);
    await until(async () => (await queue.inspect('tasks', id))?.state === 'delayed', { what: 'it has failed once' });
    expect(await queue.runNow('tasks', id)).toBe(true);
    await bed.untilSettled();
    expect(attempts).toEqual([1, 2]);
  });

  it('is for the retry of one group', async () => {
    const runs: string[] = [];
    const handlerOf = (group: string) => ({
      tasks: {
        run: ({ attempt }: Task) => {
          runs.push(`${group} ${attempt}`);
          if (attempt < 2) throw new Error('no');
        },
        options: { group, backoff: 3_600_000 },
      },
    });
    const { queue } = await bed.start({ handlers: handlerOf('a') });
    await bed.start({ handlers: handlerOf('b') });
    const id = await queue.publish('tasks', 1);
    await until(
      async () => (await bed.admin.zcard('{tasks}:~delayed:a')) + (await bed.admin.zcard('{tasks}:~delayed:b')) === 2,
      {
        what: 'both groups have a retry',
      },
    );
    expect(await queue.runNow('tasks', id, { group: 'b' })).toBe(true);
    await until(() => runs.includes('b 2'), { what: 'it runs again in b' });
    expect(runs).not.toContain('a 2');
  });

  it('makes nothing later, and leaves newer data alone', async () => {
    const queue = await producer();
    const id = await queue.publish('tasks', 1, { delayMs: 3_600_000 });
    await bed.admin.zadd('{tasks}:~delayed', 1, id);
    await bed.admin.hset('{tasks}:~uses', 'lanes', '9.0.0 0');
    await expect(queue.runNow('tasks', id)).rejects.toMatchObject({ code: 'SLUICE_NEWER_DATA' });
    await bed.admin.del('{tasks}:~uses');
    expect(await queue.runNow('tasks', id)).toBe(true);
    expect([null, '1']).toContain(await bed.admin.zscore('{tasks}:~delayed', id));
  });
});
