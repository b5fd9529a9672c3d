import { describe, expect, it } from '@jest/globals';
import { Injectable, Module, type OnModuleInit } from '@nestjs/common';
import { setTimeout as pause } from 'node:timers/promises';
import { Books } from '../../../test/support/books.js';
import { commandDelta } from '../../../test/support/command-delta.js';
import { gate } from '../../../test/support/gate.js';
import { itOnOneServer } from '../../../test/support/one-server.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { itWith } from '../../../test/support/refused-commands.js';
import { until } from '../../../test/support/until.js';
import type { Task } from '../index.js';

const bed = new QueueBed();
const { start, untilSettled } = bed;

describe('a handler', () => {
  it('gets what was published, before and after the first worker came', async () => {
    const seen: Task<never>[] = [];
    const producer = await start({ queue: { consumers: false }, namespace: 'shop' });
    const early = await producer.queue.publish('tasks', { n: 1 });
    await start({ handlers: { tasks: (task) => void seen.push(task) }, namespace: 'shop' });
    const late = await producer.queue.publish('tasks', { n: 2 });
    await until(() => seen.length === 2, { what: 'both ran' });
    expect(seen).toEqual([
      expect.objectContaining({ id: early, payload: { n: 1 }, stream: 'tasks', attempt: 1, deliveries: 1 }),
      expect.objectContaining({ id: late, payload: { n: 2 } }),
    ]);
    expect(seen[0]!.signal.aborted).toBe(false);
    await untilSettled(new Books(bed.admin, 'shop:tasks', 'shop'));
  });

  it('that always fails runs maxAttempts times, and leaves one dead letter and nothing else', async () => {
    const runs: string[] = [];
    const logged: string[] = [];
    const { queue } = await start({
      handlers: {
        tasks: (task) => {
          runs.push(`${task.id} ${task.attempt}`);
          throw new RangeError('out of paper');
        },
      },
      logged: (level, message) => logged.push(`${level}: ${message}`),
    });
    const id = await queue.publish('tasks', { n: 1 });
    await until(async () => (await bed.books.letters()).length > 0, { what: 'there is a dead letter' });
    await untilSettled();
    expect(runs).toEqual([`${id} 1`, `${id} 2`, `${id} 3`]);
    const [letter, ...others] = await bed.books.letters();
    expect(others).toEqual([]);
    expect(letter).toMatchObject({
      ...{ payload: '{"n":1}', retry_count: '3', original_id: id, reason: 'max-attempts', attempts: '3' },
      error: 'RangeError: out of paper',
      stack: expect.stringMatching(/^RangeError: out of paper\n +at .*consuming\.spec/),
    });
    expect(logged).toContainEqual(expect.stringMatching(/^warn: .*attempt 2 of 3: RangeError: out of paper$/));
    expect(logged).toContainEqual(expect.stringMatching(/^error: .*attempt 3 of 3: .*it is a dead letter now$/));
  });

  it('that fails and then succeeds is done', async () => {
    let runs = 0;
    const { queue } = await start({
      handlers: {
        tasks: async () => {
          if (++runs < 3) throw new Error('not yet');
        },
      },
    });
    await queue.publish('tasks', 1);
    await until(() => runs === 3, { what: 'it succeeded' });
    await untilSettled();
    expect(await bed.books.letters()).toEqual([]);
  });

  it('may throw anything at all', async () => {
    const hostile = new Error();
    Object.defineProperty(hostile, 'message', {
      get() {
        throw new Error('ha');
      },
    });
    const long = new Error('é'.repeat(3_000));
    const thrown: unknown[] = [undefined, null, 'a word', { a: 1 }, hostile, long, Promise.reject(new Error('late'))];
    (thrown.at(-1) as Promise<never>).catch(() => {});
    const { queue } = await start({
      handlers: {
        tasks: {
          run: (task: Task<number>) => {
            if (task.payload === 6) return thrown[6];
            throw thrown[task.payload];
          },
          options: { maxAttempts: 1, concurrency: 1 },
        },
      },
    });
    await queue.publishMany('tasks', [...thrown.keys()]);
    await until(async () => (await bed.books.letters()).length === thrown.length, { what: 'all are dead letters' });
    const errors = (await bed.books.letters()).map((letter) => letter['error']!);
    expect(errors).toEqual([
      ...[
        'undefined',
        'null',
        'a word',
        'an object that is no error (keys: a)',
        'something that cannot be shown was thrown',
      ],
      expect.stringMatching(/^Error: é+$/),
      'Error: late',
    ]);
    expect(Buffer.byteLength(errors[5]!)).toBeGreaterThan(1_000);
    expect(Buffer.byteLength(errors[5]!)).toBeLessThanOrEqual(1_024);
    expect(Buffer.byteLength((await bed.books.letters())[5]!['stack']!)).toBeLessThanOrEqual(4_096);
  });

  it('starts when the app has booted, not before', async () => {
    const order: string[] = [];
    @Injectable()
    class Slow implements OnModuleInit {
      async onModuleInit(): Promise<void> {
        await pause(50);
        order.push('initialised');
      }
    }
    @Module({ providers: [Slow] })
    class SlowModule {}
    const producer = await start({ queue: { consumers: false } });
    await producer.queue.publish('tasks', 1);
    await start({ handlers: { tasks: () => void order.push('ran') }, imports: [SlowModule] });
    await until(() => order.length === 2, { what: 'it ran' });
    expect(order).toEqual(['initialised', 'ran']);
  });

  it('is warned of, some seconds after the boot, when a SIGTERM would kill it', async () => {
    const logged: string[] = [];
    const producing: string[] = [];
    await start({ queue: { consumers: false }, handlers: { tasks: () => {} }, logged: (_, m) => producing.push(m) });
    await start({ handlers: { tasks: () => {} }, logged: (_level, message) => logged.push(message) });
    const warned = (): boolean => logged.some((message) => message.includes('shutdown hooks are off'));
    expect(warned()).toBe(false);
    await until(warned, { what: 'it is warned of' });
    expect(producing.join()).not.toContain('shutdown hooks');
  });
});

describe('entries of other producers', () => {
  it('run with three fields', async () => {
    const seen: Task<never>[] = [];
    await start({ handlers: { tasks: (task) => void seen.push(task) } });
    const id = await bed.admin.xadd('tasks', '*', 'payload', '{"n":1}', 'timestamp', '1700000000', 'retry_count', '1');
    await until(() => seen.length === 1, { what: 'it ran' });
    expect(seen[0]).toMatchObject({ id, payload: { n: 1 }, attempt: 2, publishedAt: new Date(1_700_000_000_000) });
    await untilSettled();
  });

  it('that are no tasks become dead letters, and their neighbours run', async () => {
    const seen: number[] = [];
    const producer = await start({ queue: { consumers: false } });
    await producer.queue.publish('tasks', 1);
    const none = await bed.admin.xadd('tasks', '*', 'timestamp', '1', 'retry_count', '0', 'body', 'x');
    await producer.queue.publish('tasks', 2);
    const broken = await bed.admin.xadd('tasks', '*', 'payload', '{"a":', 'timestamp', '1', 'retry_count', '0');
    await producer.queue.publish('tasks', 3);
    await start({ handlers: { tasks: (task: Task<number>) => void seen.push(task.payload) } });
    await until(async () => (await bed.books.letters()).length === 2, { what: 'both are dead letters' });
    await untilSettled();
    expect(seen).toEqual([1, 2, 3]);
    expect(await bed.books.letters()).toEqual([
      expect.objectContaining({ original_id: none, reason: 'no-payload', body: 'x', attempts: '0' }),
      expect.objectContaining({
        ...{ original_id: broken, reason: 'bad-payload', payload: '{"a":' },
        error: expect.stringContaining('not JSON'),
      }),
    ]);
  });
});

describe('a worker', () => {
  it('runs at most `concurrency` tasks, and hoards none behind slow ones', async () => {
    const { opened, open } = gate();
    let running = 0;
    let most = 0;
    let done = 0;
    const { queue } = await start({
      handlers: {
        tasks: {
          run: async () => {
            most = Math.max(most, ++running);
            await opened;
            running--;
            done++;
          },
          options: { concurrency: 3 },
        },
      },
    });
    await queue.publishMany('tasks', new Array(100).fill(1));
    await until(async () => (await bed.books.pending()) === 3, { what: 'its hands are full' });
    expect(running).toBe(3);
    await queue.publish('tasks', 1);
    expect(await bed.books.pending()).toBe(3);
    open();
    await until(() => done === 101, { what: 'all ran' });
    expect(most).toBe(3);
    await untilSettled();
  });

  it('gives back what it holds behind tasks that turned slow, to a neighbour that is idle', async () => {
    const { opened, open } = gate();
    const runs: string[] = [];
    const run =
      (app: string) =>
      async ({ payload }: Task<string>): Promise<void> => {
        if (payload === 'quick') return;
        runs.push(app);
        if (app === 'busy') await opened;
      };
    const { queue } = await start({ handlers: { tasks: { run: run('busy'), options: { concurrency: 2 } } } });
    const quick = new Array<string>(2_000).fill('quick');
    await queue.publishMany('tasks', [...quick, ...new Array<string>(60).fill('slow')]);
    await until(async () => runs.length === 2 && (await bed.books.pending()) > 30, { what: 'it holds too much' });
    await start({ handlers: { tasks: run('idle') } });
    await until(() => runs.length === 60, { what: 'all run but those behind which they were held' });
    expect(runs.filter((app) => app === 'busy')).toHaveLength(2);
    open();
    await untilSettled();
    expect(runs).toHaveLength(60);
  });

  itOnOneServer('reads all queues of a process with one blocking call', async () => {
    const handlers = Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [name, () => {}]));
    await start({ handlers });
    const readers = async (): Promise<string[]> =>
      ((await bed.admin.client('LIST')) as string).split('\n').filter((line) => line.includes('cmd=xreadgroup'));
    await until(async () => (await readers()).length > 0, { what: 'it reads' });
    expect(await readers()).toHaveLength(1);
  });

  const itUnblocks = itWith(['client|unblock'], itOnOneServer);
  itUnblocks('ends a blocking read to include a queue that has credit again', async () => {
    const { opened, open } = gate();
    let [begun, done] = [0, 0];
    const { queue } = await start({
      handlers: {
        idle: () => {},
        busy: {
          run: async () => {
            begun++;
            await opened;
            done++;
          },
          options: { concurrency: 1 },
        },
      },
    });
    // One alone: several could come with one read, and those beyond the room are returned, which ends reads as well.
    await queue.publish('busy', 1);
    await until(() => begun === 1, { what: 'it is full' });
    await queue.publishMany('busy', new Array(19).fill(1));
    // The first read was answered, so this is one without the full queue.
    await until(async () => /blocked_clients:[1-9]/.test(await bed.admin.info('clients')), { what: 'a read waits' });
    const { calls } = await commandDelta(bed.admin, async () => {
      open();
      await until(() => done === 20, { what: 'all ran' });
    });
    expect(calls['client|unblock']).toBeGreaterThan(0);
  });

  it('waits in one read while a task is acknowledged', async () => {
    let done = 0;
    const { queue } = await start({ handlers: { tasks: () => (done += 1) } });
    await queue.publish('tasks', 0);
    await untilSettled();
    const { calls } = await commandDelta(bed.admin, async () => {
      for (let n = 1; n <= 10; n++) {
        await queue.publish('tasks', n);
        await untilSettled();
      }
    });
    expect(done).toBe(11);
    // The group's own retries, which are fed by nothing here, do not have the read ended to take part in the next.
    expect(calls['client|unblock']).toBeUndefined();
  });

  it('spends few commands per task when it is busy', async () => {
    const count = 5_000;
    let done = 0;
    const producer = await start({ queue: { consumers: false } });
    const { calls, total } = await commandDelta(bed.admin, async () => {
      await producer.queue.publishMany('tasks', new Array(count).fill({ n: 1 }));
      await start({
        handlers: {
          tasks: () => {
            done++;
          },
        },
      });
      await untilSettled();
    });
    expect(done).toBe(count);
    // One XADD each; all else is shared by the tasks of a batch.
    expect(calls['xadd']).toBe(count);
    const fromClient = ['xadd', 'xreadgroup', 'evalsha', 'client|unblock'].map((name) => calls[name] ?? 0);
    expect(fromClient.reduce((sum, n) => sum + n) / count).toBeLessThan(1.2);
    expect(total / count).toBeLessThan(1.5);
  });
});
