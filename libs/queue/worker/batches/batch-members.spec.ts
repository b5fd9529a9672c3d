import { describe, expect, it } from '@jest/globals';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Observable, of, throwError } from 'rxjs';
import { z } from 'zod';
import { batchModule } from '../../../../test/support/batch-handler.js';
import { gate } from '../../../../test/support/gate.js';
import type { QueueApp } from '../../../../test/support/queue-app.js';
import { QueueBed } from '../../../../test/support/queue-bed.js';
import { until } from '../../../../test/support/until.js';
import {
  DeadLetterTask,
  DropTask,
  QUEUE_CHANNELS,
  RetryTask,
  SnoozeTask,
  defineQueue,
  type BatchHandlerOptions,
  type QueueDefinition,
  type Task,
} from '../../index.js';

const bed = new QueueBed();
const numbers = (count: number): number[] => [...new Array(count).keys()];

/** Runs of batches, as texts such as `7 (2)`: the payload, and the attempt if it is not the first. */
async function startWith(
  published: readonly unknown[],
  run: (tasks: readonly Task[], batch: number) => unknown,
  { queue = 'tasks', ...options }: Partial<BatchHandlerOptions> & { queue?: string | QueueDefinition<unknown> } = {},
): Promise<QueueApp & { ran: string[]; ids: string[] }> {
  const ran: string[] = [];
  let batches = 0;
  const producer = await bed.start({ queue: { consumers: false } });
  const ids = await producer.queue.publishMany('tasks', published);
  const handler = batchModule(queue, { batch: { max: 100 }, concurrency: 1, ...options }, (tasks) => {
    for (const { payload, attempt } of tasks) ran.push(`${String(payload)}${attempt === 1 ? '' : ` (${attempt})`}`);
    return run(tasks, batches++);
  });
  return { ...(await bed.start({ imports: [handler] })), ran, ids };
}

const letters = async (): Promise<string[]> =>
  (await bed.books.letters()).map(({ payload, reason, error }) => `${payload} ${reason} ${error}`).sort();

describe('of a batch of a hundred', () => {
  it('one that fails is tried again and becomes a dead letter alone', async () => {
    const { ran } = await startWith(
      numbers(100),
      (tasks) => {
        for (const task of tasks) if (task.payload === 13) task.fail(new Error('unlucky'));
      },
      { maxAttempts: 2 },
    );
    await bed.untilSettled();
    expect(ran).toEqual([...numbers(100).map(String), '13 (2)']);
    expect(await letters()).toEqual(['13 max-attempts Error: unlucky']);
  });

  it('one that is no JSON becomes a dead letter, and the others run', async () => {
    await bed.admin.xadd('tasks', '*', 'payload', '{', 'timestamp', '1');
    const { ran } = await startWith(numbers(99), () => {});
    await bed.untilSettled();
    expect(ran).toEqual(numbers(99).map(String));
    expect(await letters()).toEqual([expect.stringContaining('{ bad-payload')]);
  });

  it('those that the schema refuses become dead letters, and the others run with what it returns', async () => {
    const schema = z.number().transform((n) => `n${n}`);
    const { ran } = await startWith(['a', 1, 2, 'b'], () => {}, { queue: defineQueue('tasks', { schema }) });
    await bed.untilSettled();
    expect(ran).toEqual(['n1', 'n2']);
    expect((await bed.books.letters()).map(({ reason }) => reason)).toEqual(['bad-payload', 'bad-payload']);
  });

  it('the handler does not run if the schema refuses them all', async () => {
    const { ran } = await startWith(['a'], () => {}, { queue: defineQueue('tasks', { schema: z.number() }) });
    await until(async () => (await bed.books.letters()).length === 1, { what: 'it is a dead letter' });
    expect(ran).toEqual([]);
  });

  it('those that have not failed alone fail with what is thrown', async () => {
    await startWith(
      [1, 2, 3],
      ([, second]) => {
        second!.fail(new Error('own'));
        second!.fail(new Error('too late'));
        throw new Error('common');
      },
      { maxAttempts: 1 },
    );
    await until(async () => (await letters()).length === 3, { what: 'all are dead letters' });
    expect(await letters()).toEqual([
      '1 max-attempts Error: common',
      '2 max-attempts Error: own',
      '3 max-attempts Error: common',
    ]);
  });

  it('each can be retried, put off, given up or dropped by itself', async () => {
    const { ran, queue } = await startWith([1, 2, 3, 4, 5], ([retried, snoozed, dead, dropped], batch) => {
      if (batch > 0) return;
      retried!.fail(new RetryTask({ delayMs: 1 }));
      snoozed!.fail(new SnoozeTask({ delayMs: 3_600_000 }));
      dead!.fail(new DeadLetterTask('no such page'));
      dropped!.fail(new DropTask());
    });
    await until(() => ran.length === 6, { what: 'one was retried' });
    await bed.untilSettled();
    expect(ran).toEqual(['1', '2', '3', '4', '5', '1 (2)']);
    expect(await letters()).toEqual([expect.stringContaining('3 no such page')]);
    expect(await queue.counts('tasks')).toMatchObject({ delayed: 1, waiting: 0 });
    expect((await queue.list('tasks', { state: 'delayed' })).tasks).toMatchObject([{ payload: 2, attempt: 1 }]);
  });

  it('only the one that task.deadLetter gives up is dead; the others count an attempt', async () => {
    const { ran } = await startWith([1, 2], ([, second], batch) => {
      if (batch === 0) second!.deadLetter('no such page');
    });
    await until(() => ran.length === 3, { what: 'the other one ran again' });
    await bed.untilSettled();
    expect(ran).toEqual(['1', '2', '1 (2)']);
    expect(await letters()).toEqual([expect.stringContaining('2 no such page')]);
  });

  it('all are dead letters if the handler throws a DeadLetterTask of no task', async () => {
    await startWith([1, 2], () => {
      throw new DeadLetterTask('closed');
    });
    await until(async () => (await letters()).length === 2, { what: 'both are dead letters' });
    expect((await bed.books.letters()).map(({ reason }) => reason)).toEqual(['closed', 'closed']);
  });

  it('an Observable is run to its end, and fails them all if it fails', async () => {
    const { ran } = await startWith([1, 2], (_tasks, batch) =>
      batch === 0 ? throwError(() => new Error('not yet')) : of(1, 2),
    );
    await until(() => ran.length === 4, { what: 'both ran again' });
    await bed.untilSettled();
    expect(ran.slice(2).sort()).toEqual(['1 (2)', '2 (2)']);
  });

  it('an Observable goes on when one task of two is cancelled, and ends when both are', async () => {
    const begun: Task[] = [];
    let ended = false;
    const { queue, ids } = await startWith([1, 2], (tasks) => {
      begun.push(...tasks);
      return new Observable(() => () => {
        ended = true;
      });
    });
    await until(() => begun.length === 2, { what: 'it runs' });
    await queue.cancel('tasks', ids[0]!);
    await until(() => begun[0]!.signal.aborted, { what: 'its signal aborts' });
    expect(ended).toBe(false);
    await queue.cancel('tasks', ids[1]!);
    await until(() => ended, { what: 'it has ended' });
    await bed.untilSettled();
    expect(await letters()).toEqual([]);
  });

  it('each has messages of its own on the channels', async () => {
    const seen: string[] = [];
    const note =
      (what: string) =>
      (message: unknown): void => {
        seen.push(`${what} ${(message as { id: string }).id}`);
      };
    const heard = (['started', 'completed', 'failed'] as const).map(
      (what) => [QUEUE_CHANNELS[what], note(what)] as const,
    );
    for (const [channel, listener] of heard) subscribe(channel, listener);
    const { ids } = await startWith([1, 2], ([first]) => {
      first!.fail(new DropTask());
    });
    await bed.untilSettled();
    for (const [channel, listener] of heard) unsubscribe(channel, listener);
    const [first, second] = ids;
    expect(seen).toEqual([`started ${first}`, `started ${second}`, `failed ${first}`, `completed ${second}`]);
  });
});

describe('the signals of a batch', () => {
  it('all abort when its time is over, and each task fails with an error that names it', async () => {
    const reasons: unknown[] = [];
    const { ids } = await startWith(
      [1, 2],
      async (tasks) => {
        const [last] = tasks.slice(-1);
        await new Promise((resolve) => {
          last!.signal.addEventListener('abort', resolve);
        });
        reasons.push(...tasks.map(({ signal }) => (signal.reason as { taskId: string }).taskId));
        last!.signal.throwIfAborted();
      },
      { timeoutMs: 20, maxAttempts: 1 },
    );
    await until(async () => (await letters()).length === 2, { what: 'both are dead letters' });
    expect(reasons).toEqual(ids);
    for (const { error, original_id: id } of await bed.books.letters())
      expect(error).toContain(`task ${id} ran longer`);
  });

  it('are given up together if the handler ignores them', async () => {
    const { ids } = await startWith([1, 2], () => new Promise(() => {}), { timeoutMs: 10, maxAttempts: 1 });
    await until(async () => (await letters()).length === 2, { what: 'both are dead letters' });
    for (const { error, original_id: id } of await bed.books.letters())
      expect(error).toContain(`task ${id} ran longer`);
    expect(ids).toHaveLength(2);
  });

  it('abort one by one when tasks are cancelled, and only these are dropped', async () => {
    const { opened, open } = gate();
    const begun: Task[] = [];
    const { queue, ids, ran } = await startWith([1, 2], async (tasks, batch) => {
      if (batch > 0) return;
      begun.push(...tasks);
      await opened;
      throw new Error('stopped');
    });
    await until(() => begun.length === 2, { what: 'it runs' });
    expect(await queue.cancel('tasks', ids[0]!)).toBe('aborting');
    await until(() => begun[0]!.signal.aborted, { what: 'its signal aborts' });
    expect(begun[1]!.signal.aborted).toBe(false);
    open();
    await until(() => ran.length === 3, { what: 'the other one ran again' });
    await bed.untilSettled();
    expect(ran).toEqual(['1', '2', '2 (2)']);
    expect(await letters()).toEqual([]);
  });

  it('all abort when the app stops, and the tasks go to another process', async () => {
    const begun: Task[] = [];
    const { queue } = await bed.start({ queue: { consumers: false } });
    await queue.publishMany('tasks', [1, 2]);
    const hangs = batchModule('tasks', { batch: { max: 10 } }, async (tasks) => {
      begun.push(...tasks);
      await new Promise(() => {});
    });
    const { app } = await bed.start({ imports: [hangs], queue: { drainMs: 0 } });
    await until(() => begun.length === 2, { what: 'it runs' });
    const signals = begun.map(({ signal }) => signal);
    await app.close();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
    const seen: Task[] = [];
    await bed.start({ imports: [batchModule('tasks', { batch: { max: 10 } }, (tasks) => void seen.push(...tasks))] });
    await bed.untilSettled();
    expect(seen).toMatchObject([{ attempt: 1 }, { attempt: 1 }]);
  });
});

it('task.fail in a handler without batch is refused with a hint', async () => {
  let caught: unknown;
  const { queue } = await bed.start({
    handlers: {
      tasks: (task: Task<number>) => {
        try {
          task.fail(new Error('no'));
        } catch (error) {
          caught = error;
        }
      },
    },
  });
  await queue.publish('tasks', 1);
  await bed.untilSettled();
  expect(caught).toMatchObject({
    code: 'SLUICE_TASK_NOT_IN_BATCH',
    message: expect.stringContaining('Throw the error, or give @TaskHandler a batch'),
  });
});
