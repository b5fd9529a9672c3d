import { describe, expect, it } from '@jest/globals';
import { of } from 'rxjs';
import { z } from 'zod';
import { gate } from '../../../test/support/gate.js';
import { startQueueApp, type QueueApp, type TestHandler } from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import {
  DeadLetterTask,
  DropTask,
  SnoozeTask,
  TaskFailedError,
  TaskResultError,
  TaskWaitTimeoutError,
  defineQueue,
  payload,
  type PublishAndWaitOptions,
  type Task,
} from '../index.js';

const bed = new QueueBed();
const LONG = { timeoutMs: 600_000 };

/** A process that handles `tasks`, and one that waits. */
async function start(
  run: TestHandler,
  options: { logged?: (level: string, message: string) => void } = {},
): Promise<QueueApp> {
  const waiting = await bed.start({});
  await bed.start({ handlers: { tasks: run }, ...options });
  return waiting;
}
const kept = (): Promise<string[]> => bed.admin.keys('*~result:*');
const untilNothingIsKept = (): Promise<unknown> =>
  until(async () => (await kept()).length === 0, { what: 'no result is kept' });
const failure = async (waiting: Promise<unknown>): Promise<unknown> =>
  waiting.then(
    (value) => {
      throw new Error(`it has a result: ${JSON.stringify(value)}`);
    },
    (error: unknown) => error,
  );

describe('publishAndWait', () => {
  it('resolves to what the handler returned in another process, and keeps nothing', async () => {
    const { queue } = await start(({ payload: n }: Task<number>) => Promise.resolve({ twice: 2 * n, text: 'ü' }));
    const results = await Promise.all([1, 2, 3].map((n) => queue.publishAndWait('tasks', n, LONG)));
    expect(results).toEqual([1, 2, 3].map((n) => ({ twice: 2 * n, text: 'ü' })));
    await bed.untilSettled();
    await untilNothingIsKept();
    expect(await bed.admin.xlen('tasks')).toBe(0);
  });

  it.each<[string, unknown, unknown]>([
    ['nothing', undefined, undefined],
    ['null', null, null],
    ['an empty text', '', ''],
    ['an Observable', of(1, 2, 3), 3],
  ])('resolves to the result of a handler that returned %s', async (_, returned, result) => {
    const { queue } = await start(() => returned);
    expect(await queue.publishAndWait('tasks', 1, LONG)).toEqual(result);
  });

  it('waits through retries, snoozes and time limits, and has the result of the run that succeeds', async () => {
    const { queue } = await start({
      run: ({ attempt, deliveries }: Task<never>) => {
        if (attempt === 1) throw new Error('not yet');
        if (attempt === 2 && !snoozed) {
          snoozed = true;
          throw new SnoozeTask({ delayMs: 5 });
        }
        return { attempt, deliveries };
      },
      options: { timeoutMs: 300_000 },
    });
    let snoozed = false;
    expect(await queue.publishAndWait('tasks', 1, { ...LONG, delayMs: 5 })).toEqual({ attempt: 2, deliveries: 1 });
  });

  it('reads a result that is too large for a message', async () => {
    const large = 'ü'.repeat(40_000);
    const { queue } = await start(() => ({ large }));
    expect(await queue.publishAndWait('tasks', 1, LONG)).toEqual({ large });
    await untilNothingIsKept();
  });

  it.each<[string, () => Error, object]>([
    [
      'is a dead letter',
      () => new Error('no'),
      { how: 'dead', reason: 'max-attempts', error: 'Error: no', attempts: 2 },
    ],
    ['was given up', () => new DeadLetterTask('spam'), { how: 'dead', reason: 'spam', attempts: 1 }],
    ['was dropped', () => new DropTask('not needed'), { how: 'dropped', reason: 'dropped', attempts: 0 }],
  ])('rejects when the task %s', async (_, thrown, expected) => {
    const { queue } = await start(() => {
      throw thrown();
    });
    const error = await failure(queue.publishAndWait('tasks', 1, { ...LONG, maxAttempts: 2 }));
    expect(error).toBeInstanceOf(TaskFailedError);
    expect(error).toMatchObject({
      code: 'SLUICE_TASK_FAILED',
      queue: 'tasks',
      taskId: expect.any(String),
      ...expected,
    });
    await untilNothingIsKept();
  });

  it('rejects when the task is cancelled while it runs', async () => {
    const { queue } = await start(({ signal }: Task<never>) => {
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error);
        });
      });
    });
    const error = failure(queue.publishAndWait('tasks', 1, LONG));
    const running = await until(async () => (await queue.list('tasks', { state: 'running' })).tasks[0], {
      what: 'it runs',
    });
    await until(async () => (await queue.cancel('tasks', running.id)) !== 'removed', { what: 'it is cancelled' });
    expect(await error).toMatchObject({ how: 'cancelled', taskId: running.id });
  });

  it('rejects when its payload was no JSON for the handler', async () => {
    const { queue } = await start(() => 1);
    await bed.admin.xadd('tasks', '*', 'payload', '{', 'meta', '{"reply":"no such form"}');
    const Tasks = defineQueue('tasks', { schema: z.object({ n: z.number() }) });
    await expect(queue.publishAndWait(Tasks, { n: 'a' } as never)).rejects.toMatchObject({
      code: 'SLUICE_QUEUE_INVALID_PAYLOAD',
    });
    expect(await queue.publishAndWait(Tasks, { n: 1 }, LONG)).toBe(1);
  });

  it('rejects when its time is over, and the task goes on', async () => {
    const { opened, open } = gate();
    let done = 0;
    const { queue } = await start(async () => {
      await opened;
      return ++done;
    });
    const error = await failure(queue.publishAndWait('tasks', 1, { timeoutMs: 20 }));
    expect(error).toBeInstanceOf(TaskWaitTimeoutError);
    expect(error).toMatchObject({ code: 'SLUICE_TASK_WAIT_TIMEOUT', queue: 'tasks', timeoutMs: 20 });
    expect(await queue.inspect('tasks', (error as TaskWaitTimeoutError).taskId)).toBeDefined();
    open();
    await bed.untilSettled();
    expect(done).toBe(1);
    expect(await kept()).toEqual([]);
  });

  it('ends with its signal, and the task goes on', async () => {
    const { opened, open } = gate();
    const { queue } = await start(() => opened);
    const caller = new AbortController();
    const error = failure(queue.publishAndWait('tasks', 1, { ...LONG, signal: caller.signal }));
    await until(async () => (await queue.counts('tasks')).running === 1, { what: 'it runs' });
    const reason = new Error('not any more');
    caller.abort(reason);
    expect(await error).toBe(reason);
    expect((await queue.counts('tasks')).running).toBe(1);
    expect(await failure(queue.publishAndWait('tasks', 2, { signal: caller.signal }))).toBe(reason);
    open();
    await bed.untilSettled();
  });

  it('rejects when the result cannot be sent, and the task does not run again', async () => {
    const logged: string[] = [];
    let runs = 0;
    const { queue } = await start(
      ({ payload: kind }: Task<string>) => {
        runs++;
        return kind === 'date' ? { at: new Date() } : 'x'.repeat(2 ** 20);
      },
      {
        logged: (level, message) => {
          if (level === 'error') logged.push(message);
        },
      },
    );
    const error = await failure(queue.publishAndWait('tasks', 'date', LONG));
    expect(error).toBeInstanceOf(TaskResultError);
    expect(error).toMatchObject({ code: 'SLUICE_TASK_BAD_RESULT', issues: [] });
    expect((error as Error).message).toContain('result.at is an instance of Date');
    expect(String(await failure(queue.publishAndWait('tasks', 'large', LONG)))).toContain('maxPayloadBytes (1048576)');
    await bed.untilSettled();
    expect([runs, logged.length, await bed.books.letters()]).toEqual([2, 2, []]);
    expect(logged[0]).toContain('is done, but its result cannot be sent: result.at is an instance of Date');
  });

  it('has no result of a handler of batches, and says so when the task is done', async () => {
    const { queue } = await start({ run: () => 'for all', options: { batch: { max: 5, waitMs: 0 } } as object });
    const error = await failure(queue.publishAndWait('tasks', 1, LONG));
    expect(error).toMatchObject({ code: 'SLUICE_TASK_BAD_RESULT', message: expect.stringContaining('takes batches') });
    await bed.untilSettled();
    expect(await bed.books.letters()).toEqual([]);
  });

  it('checks the result by the schema of the queue, and has its output', async () => {
    const { queue } = await start(({ payload: at }: Task) => ({ at }));
    const Tasks = defineQueue('tasks').returning(z.object({ at: z.string().transform(Number) }));
    expect(await queue.publishAndWait(Tasks, '7', LONG)).toEqual({ at: 7 });
    const error = await failure(queue.publishAndWait(Tasks, 7, LONG));
    expect(error).toMatchObject({ code: 'SLUICE_TASK_BAD_RESULT', issues: [{ path: 'result.at' }] });
    const both = defineQueue('tasks', { schema: z.string(), result: z.object({ at: z.string() }) });
    expect(await queue.publishAndWait(both, 'a', LONG)).toEqual({ at: 'a' });
  });

  it('works on a named task, and on a queue with a maxLength', async () => {
    const Files = defineQueue('files', { tasks: { import: payload<string>() } });
    const Import = Files.tasks.import.returning<number>();
    await bed.start({ handlers: { '{files}.import': ({ payload: text }: Task<string>) => text.length } });
    const { queue } = await start(() => 'short');
    expect(await queue.publishAndWait(Import, 'four', LONG)).toBe(4);
    const Tasks = defineQueue<number>('tasks', { maxLength: { limit: 5 } });
    expect(await queue.publishAndWait(Tasks, 1, LONG)).toBe('short');
    expect(await queue.publishAndWait(Tasks, 1, { ...LONG, delayMs: 5 })).toBe('short');
  });

  it('sends nothing along with a task for which nobody waits', async () => {
    const { queue } = await bed.start({});
    await queue.publish('tasks', 1);
    const [[, fields]] = (await bed.admin.xrange('tasks', '-', '+')) as [[string, string[]]];
    expect(fields.slice(6)).toEqual(['meta', '']);
  });

  it('does not wait for a redriven task again', async () => {
    let fails = true;
    const { queue } = await start(() => {
      if (fails) throw new Error('no');
    });
    await failure(queue.publishAndWait('tasks', 1, { ...LONG, maxAttempts: 1 }));
    const letters = await bed.books.letters();
    expect(letters[0]?.['meta']).toContain('"reply"');
    fails = false;
    await queue.pause('tasks');
    await queue.dead('tasks').redrive();
    const [[, fields]] = (await bed.admin.xrange('tasks', '-', '+')) as [[string, string[]]];
    expect(fields.join()).not.toContain('reply');
  });

  it.each<[unknown, string]>([
    [{ timeoutMs: 0 }, 'publishAndWait.timeoutMs must be a number of milliseconds from 1 to 3600000'],
    [{ timeoutMs: 3_600_001 }, 'publishAndWait.timeoutMs'],
    [{ delayMs: 30_000 }, 'publishAndWait: delayMs must be less than timeoutMs (30000)'],
    [{ group: '' }, 'publishAndWait.group must be a non-empty string'],
    [{ key: '' }, 'publishAndWait: key'],
    [{ key: 'a', priority: 'high' }, 'priority'],
    [{ reply: 'a' }, 'publishAndWait'],
    [7, 'publishAndWait'],
  ])('refuses %j', async (options, message) => {
    const { queue } = await bed.start({});
    const error = await failure(queue.publishAndWait('tasks', 1, options as PublishAndWaitOptions));
    expect(error).toMatchObject({ code: 'SLUICE_BAD_OPTION', message: expect.stringContaining(message) });
    expect(await bed.admin.exists('tasks')).toBe(0);
  });

  it('refuses a schema that is none', () => {
    expect(() => defineQueue('q').returning(undefined as never)).toThrow(
      "defineQueue('q').returning must be a Standard",
    );
    expect(() => defineQueue('q', { result: 7 } as never)).toThrow("defineQueue('q').result must be a Standard");
    const tasks = { a: payload<number>() };
    expect(() => defineQueue('q', { tasks, result: z.string() } as never)).toThrow('tasks.<name>.returning(result)');
  });
});

describe('a wait whose messages do not arrive', () => {
  it('has its result after the subscriber was killed', async () => {
    const { opened, open } = gate();
    const { queue } = await start(async () => {
      await opened;
      return 'heard';
    });
    const result = queue.publishAndWait('tasks', 1, LONG);
    await until(async () => (await queue.counts('tasks')).running === 1, { what: 'it runs' });
    await bed.admin.call('CLIENT', 'KILL', 'TYPE', 'PUBSUB');
    open();
    expect(await result).toBe('heard');
    await untilNothingIsKept();
  });

  it('has its result if the user has no rights on channels', async () => {
    await bed.start({ handlers: { tasks: () => 'read' } });
    await bed.admin.call('ACL', 'SETUSER', 'mute', 'on', '>p', '~*', '+@all', 'resetchannels');
    const url = Object.assign(new URL(bed.redis.url), { username: 'mute', password: 'p' });
    const { app, queue } = await startQueueApp({ url: url.href });
    try {
      expect(await queue.publishAndWait('tasks', 1, LONG)).toBe('read');
    } finally {
      await app.close();
      await bed.admin.call('ACL', 'DELUSER', 'mute');
    }
  });
});

describe('an app that stops', () => {
  it('waits for no task that was not published', async () => {
    const { app, queue } = await bed.start({ queue: { drainMs: 600_000 } });
    const Tasks = defineQueue<number>('tasks', { maxLength: { limit: 1 } });
    await queue.publish(Tasks, 1);
    expect(await failure(queue.publishAndWait(Tasks, 2, LONG))).toMatchObject({ code: 'SLUICE_QUEUE_FULL' });
    await app.close();
  });

  it('gives its waits drainMs, and refuses further ones', async () => {
    const { app, queue } = await bed.start({ queue: { drainMs: 50 } });
    const waiting = failure(queue.publishAndWait('tasks', 1, LONG));
    await until(() => bed.admin.exists('tasks'), { what: 'it is published' });
    const closing = app.close();
    const error = await waiting;
    expect(error).toMatchObject({ code: 'SLUICE_CLOSED', message: expect.stringContaining('the task goes on') });
    await closing;
    const late = await failure(queue.publishAndWait('tasks', 2, LONG));
    expect(late).toMatchObject({ code: 'SLUICE_CLOSED', message: expect.stringContaining('nothing was published') });
    expect(await bed.admin.xlen('tasks')).toBe(1);
  });

  it('lets a wait end that has its result meanwhile', async () => {
    const { opened, open } = gate();
    await bed.start({
      handlers: {
        tasks: async () => {
          await opened;
          return 'in time';
        },
      },
    });
    const { app, queue } = await bed.start({ queue: { drainMs: 600_000 } });
    const result = queue.publishAndWait('tasks', 1, LONG);
    await until(async () => (await queue.counts('tasks')).running === 1, { what: 'it runs' });
    const closing = app.close();
    open();
    expect(await result).toBe('in time');
    await closing;
  });
});
