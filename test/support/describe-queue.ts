import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  DeadLetterTask,
  DropTask,
  RetryTask,
  SnoozeTask,
  defineQueue,
  type HandlerOptions,
  type QueueService,
  type Task,
} from 'nestjs-sluice/queue';

/** What both queues have. */
export type AnyQueue = Pick<QueueService, Exclude<keyof QueueService, 'raw' | 'workers'>>;

/** A queue with one handler of `tasks`. */
export interface QueueUnderTest {
  readonly queue: AnyQueue;
  /** Resolves when nothing that is due is left to run. */
  run(): Promise<void>;
  /** Lets so much time pass. */
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

export type MakeQueue = (handler: (task: Task<never>) => unknown, options: HandlerOptions) => Promise<QueueUnderTest>;

/** What a queue promises, wherever its tasks are kept. */
export function describeQueue(name: string, make: MakeQueue): void {
  describe(`${name}, as a queue,`, () => {
    let made: QueueUnderTest | undefined;
    let runs: { id: string; payload: unknown; attempt: number }[] = [];
    beforeEach(() => {
      runs = [];
    });
    afterEach(async () => {
      await made?.close();
      made = undefined;
    });
    const start = async (
      then: (task: Task<never>) => unknown = () => {},
      options: HandlerOptions = {},
    ): Promise<QueueUnderTest> => {
      const handler = ({ id, payload, attempt }: Task<never>, task: Task<never>): unknown => {
        runs.push({ id, payload, attempt });
        return then(task);
      };
      made = await make((task) => handler(task, task), { backoff: 0, maxAttempts: 3, concurrency: 1, ...options });
      return made;
    };
    const throws = (error: () => Error) => (): never => {
      throw error();
    };

    it('runs each task once, with its id and a payload of its own, in order', async () => {
      const { queue, run } = await start();
      const payload = { n: 1, list: ['ü', null] };
      const ids = [await queue.publish('tasks', payload), ...(await queue.publishMany('tasks', [2, 'three']))];
      payload.n = 9;
      await run();
      expect(runs).toEqual([
        { id: ids[0], payload: { n: 1, list: ['ü', null] }, attempt: 1 },
        { id: ids[1], payload: 2, attempt: 1 },
        { id: ids[2], payload: 'three', attempt: 1 },
      ]);
      expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, running: 0, delayed: 0, dead: 0 });
    });

    it('refuses what JSON would change, names and options that are none', async () => {
      const { queue } = await start();
      await expect(queue.publish('tasks', { at: new Date() })).rejects.toMatchObject({
        code: 'SLUICE_QUEUE_UNSERIALIZABLE',
        path: 'payload.at',
      });
      await expect(queue.publishMany('tasks', [1, NaN])).rejects.toMatchObject({ path: 'payloads[1]' });
      await expect(queue.publish('', 1)).rejects.toMatchObject({ code: 'SLUICE_BAD_NAME' });
      await expect(queue.publish('tasks', 1, { delayMs: -1 })).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    });

    it('tries a task again until its attempts are used up, and keeps the dead letter', async () => {
      const { queue, run } = await start(throws(() => new Error('no', { cause: new Error('why') })));
      const ids = [await queue.publish('tasks', 'a'), await queue.publish('tasks', 'b', { maxAttempts: 1 })];
      await run();
      expect(runs.filter(({ payload }) => payload === 'a').map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
      expect(runs.filter(({ payload }) => payload === 'b')).toHaveLength(1);
      const { tasks } = await queue.dead('tasks').list();
      expect(tasks.map(({ id }) => id).sort()).toEqual([...ids].sort());
      expect(tasks[0]).toMatchObject({ reason: 'max-attempts', error: 'Error: no; [cause] Error: why', state: 'dead' });
    });

    it('does what a handler throws: retry, snooze, drop, dead letter', async () => {
      const thrown: Record<string, () => Error> = {
        retry: () => new RetryTask({ delayMs: 0 }),
        drop: () => new DropTask(),
        dead: () => new DeadLetterTask('spam'),
        empty: () => new DeadLetterTask(''),
      };
      const { queue, run } = await start(({ payload, attempt }) => {
        const error = thrown[payload as string];
        if (error && attempt === 1) throw error();
      });
      await queue.publishMany('tasks', Object.keys(thrown));
      await run();
      expect(runs.filter(({ payload }) => payload === 'retry').map(({ attempt }) => attempt)).toEqual([1, 2]);
      expect(runs).toHaveLength(5);
      const { tasks } = await queue.dead('tasks').list();
      expect(tasks.map(({ payload, reason }) => [payload, reason]).sort()).toEqual([
        ['dead', 'spam'],
        ['empty', 'dead-letter'],
      ]);
    });

    it('runs a delayed task when it is due, and a snoozed one later without using an attempt', async () => {
      const { queue, run, pass } = await start(() => {
        if (runs.length === 1) throw new SnoozeTask({ delayMs: 60 });
      });
      const later = await queue.publish('tasks', 0, { delayMs: 3_600_000 });
      expect(await queue.inspect('tasks', later)).toMatchObject({ id: later, state: 'delayed' });
      expect((await queue.list('tasks', { state: 'delayed' })).tasks).toMatchObject([{ id: later, payload: 0 }]);
      expect(await queue.remove('tasks', later)).toBe(true);
      expect(await queue.remove('tasks', later)).toBe(false);
      expect(await queue.inspect('tasks', later)).toBeUndefined();
      const bad = { code: 'SLUICE_BAD_OPTION' };
      await expect(queue.inspect('tasks', 7 as unknown as string)).rejects.toMatchObject(bad);
      await expect(queue.remove('tasks', undefined as unknown as string)).rejects.toMatchObject(bad);
      const id = await queue.publish('tasks', 1, { delayMs: 60 });
      await pass(70);
      await run();
      await pass(70);
      await run();
      expect(runs).toEqual([
        { id, payload: 1, attempt: 1 },
        { id, payload: 1, attempt: 1 },
      ]);
      await queue.publish('tasks', 2, { runAt: new Date(0) });
      await run();
      expect(runs).toHaveLength(3);
    });

    it('publishes once under a key while its task is there, and finds the task by the key', async () => {
      const { queue, run } = await start();
      const key = 'k';
      const first = await queue.publishUnique('tasks', 1, { key, delayMs: 60_000 });
      expect(first).toEqual({ id: expect.any(String), outcome: 'published' });
      expect(await queue.publishUnique('tasks', 2, { key })).toEqual({ id: first.id, outcome: 'skipped' });
      expect(await queue.inspect('tasks', { key })).toMatchObject({ id: first.id, payload: 1, state: 'delayed' });
      expect(await queue.remove('tasks', { key })).toBe(true);
      const second = await queue.publishUnique('tasks', 3, { key, nonce: 'n' });
      await run();
      expect(await queue.publishUnique('tasks', 3, { key, nonce: 'n' })).toEqual(second);
      expect(await queue.publishUnique('tasks', 4, { key, windowMs: 60_000 })).toMatchObject({ outcome: 'published' });
      await run();
      expect(await queue.publishUnique('tasks', 5, { key })).toMatchObject({ outcome: 'skipped' });
      expect(runs.map(({ payload }) => payload)).toEqual([3, 4]);
    });

    it('publishes nothing under the key of the task that runs', async () => {
      const outcomes: string[] = [];
      const { queue, run } = await start(async () => {
        if (outcomes.length > 0) return;
        outcomes.push((await queue.publishUnique('tasks', 'again', { key: 'k' })).outcome);
      });
      await queue.publishUnique('tasks', 'once', { key: 'k' });
      await run();
      expect(outcomes).toEqual(['skipped']);
      expect((await queue.publishUnique('tasks', 'later', { key: 'k', delayMs: 60_000 })).outcome).toBe('published');
    });

    it('puts a task off under a key, and collects items', async () => {
      const { queue, run } = await start();
      const debounce = { key: 'd', mode: 'debounce', windowMs: 60_000 } as const;
      const first = await queue.publishUnique('tasks', 1, debounce);
      expect(await queue.publishUnique('tasks', 2, debounce)).toEqual({ id: first.id, outcome: 'postponed' });
      expect(await queue.inspect('tasks', { key: 'd' })).toMatchObject({ payload: 2, state: 'delayed' });
      const options = { key: 'c', waitMs: 60_000, max: 2 };
      const list = await queue.collect('tasks', 'a', options);
      expect(list.outcome).toBe('published');
      expect(await queue.collect('tasks', 'b', options)).toEqual({ id: list.id, outcome: 'collected' });
      expect((await queue.collect('tasks', 'c', options)).outcome).toBe('published');
      await run();
      expect(runs).toEqual([{ id: list.id, payload: ['a', 'b'], attempt: 1 }]);
      await expect(queue.collect('tasks', 1, { key: 'c' } as never)).rejects.toMatchObject({
        code: 'SLUICE_BAD_OPTION',
      });
    });

    it('brings dead letters back with their ids, or deletes them', async () => {
      let fails = true;
      const { queue, run } = await start(
        () => {
          if (fails) throw new Error('no');
        },
        { maxAttempts: 1 },
      );
      const ids = await queue.publishMany('tasks', ['a', 'b', 'c']);
      await run();
      fails = false;
      const letters = queue.dead<string>('tasks');
      expect(await letters.redrive({ filter: ({ payload }) => payload === 'b' })).toBe(1);
      await run();
      expect(runs.at(-1)).toEqual({ id: ids[1], payload: 'b', attempt: 1 });
      expect(await letters.purge({ filter: ({ payload }) => payload === 'a' })).toBe(1);
      expect((await letters.list()).tasks).toMatchObject([{ id: ids[2] }]);
      expect(await letters.purge()).toBe(1);
      expect((await queue.counts('tasks')).dead).toBe(0);
    });

    it('refuses a publish for which it has no room, and takes all of a publishMany or none', async () => {
      const { queue, run } = await start();
      const Tasks = defineQueue<string>('tasks', { maxLength: { limit: 2 } });
      await queue.pause(Tasks);
      await queue.publish(Tasks, 'a');
      await expect(queue.publishMany(Tasks, ['b', 'c'])).rejects.toMatchObject({
        code: 'SLUICE_QUEUE_FULL',
        length: 1,
      });
      await queue.publish(Tasks, 'b', { delayMs: 3_600_000 });
      await expect(queue.publish(Tasks, 'c')).rejects.toMatchObject({ queue: 'tasks', limit: 2, length: 2 });
      await expect(queue.publishUnique(Tasks, 'd', { key: 'd' })).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
      await queue.resume(Tasks);
      await run();
      await queue.publish(Tasks, 'c');
      await run();
      expect(runs.map(({ payload }) => payload)).toEqual(['a', 'c']);
    });

    it('publishes what follows when all tasks of a publishMany have ended, once', async () => {
      let fails = true;
      const { queue, run } = await start(
        ({ payload }) => {
          if (payload === 'fail' && fails) throw new Error('as asked');
          if (payload === 'drop') throw new DropTask();
        },
        { maxAttempts: 2 },
      );
      const whenAllSettled = { queue: '{tasks}.settled', payload: ['all'] };
      const following = async (): Promise<unknown[]> =>
        (await queue.list(whenAllSettled.queue)).tasks.map(({ payload }) => payload);
      await queue.pause(whenAllSettled.queue);
      const ids = await queue.publishMany('tasks', ['a', 'fail', 'drop'], { whenAllSettled });
      const [later = ''] = await queue.publishMany('tasks', ['b'], { delayMs: 3_600_000, whenAllSettled });
      expect(new Set(ids).size).toBe(3);
      await run();
      const first = { payload: ['all'], counts: { total: 3, completed: 2, failed: 1, removed: 0 } };
      expect(await following()).toEqual([first]);
      fails = false;
      await queue.dead('tasks').redrive();
      await run();
      expect(await following()).toEqual([first]);
      await queue.remove('tasks', later);
      const second = { payload: ['all'], counts: { total: 1, completed: 0, failed: 0, removed: 1 } };
      expect(await following()).toEqual([first, second]);
      await queue.publishMany('tasks', [], { whenAllSettled });
      expect(await following()).toHaveLength(3);
      await expect(queue.publishMany('tasks', [1], { whenAllSettled: { payload: 1 } as never })).rejects.toThrow(
        'publishMany: whenAllSettled.queue must be given',
      );
    });

    it('starts nothing while it is paused, and finds and removes what waits', async () => {
      const { queue, run } = await start();
      expect(await queue.pause('tasks')).toEqual({ changed: true, unconfirmed: [] });
      expect(await queue.pause('tasks')).toEqual({ changed: false, unconfirmed: [] });
      const [first = '', second = ''] = await queue.publishMany('tasks', ['a', 'b']);
      expect(await queue.counts('tasks')).toMatchObject({ waiting: 2, paused: true });
      expect((await queue.list('tasks')).tasks).toMatchObject([{ id: first }, { id: second }]);
      expect(await queue.inspect('tasks', second)).toMatchObject({ state: 'waiting', payload: 'b', attempt: 1 });
      expect(await queue.remove('tasks', first)).toBe(true);
      expect(await queue.remove('tasks', first)).toBe(false);
      expect(await queue.inspect('tasks', first)).toBeUndefined();
      expect(await queue.resume('tasks')).toBe(true);
      expect(await queue.resume('tasks')).toBe(false);
      await run();
      expect(runs).toEqual([{ id: second, payload: 'b', attempt: 1 }]);
    });

    it('purges what has one state, and makes a delayed task due', async () => {
      const { queue, run } = await start();
      await queue.pause('tasks', { wait: true });
      await queue.publishMany('tasks', ['a', 'b']);
      const [later = ''] = await queue.publishMany('tasks', ['c', 'd'], { delayMs: 3_600_000 });
      await expect(queue.purge('tasks', 'running' as 'dead')).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
      expect(await queue.purge('tasks', 'waiting')).toBe(2);
      expect(await queue.runNow('tasks', later)).toBe(true);
      expect(await queue.runNow('tasks', 'no such task')).toBe(false);
      await queue.resume('tasks');
      await run();
      expect(runs).toEqual([{ id: later, payload: 'c', attempt: 1 }]);
      expect(await queue.purge('tasks', 'delayed')).toBe(1);
      expect(await queue.purge('tasks', 'dead')).toBe(0);
    });

    it('is paused in this process alone, until it is resumed here', async () => {
      const { queue, run } = await start();
      await queue.pause('tasks', { here: true, wait: true });
      const id = await queue.publish('tasks', 'a');
      expect(await queue.counts('tasks')).toMatchObject({ waiting: 1, paused: false });
      expect(await queue.resume('tasks')).toBe(false);
      expect(await queue.resume('tasks', { here: true })).toBe(true);
      await run();
      expect(runs).toEqual([{ id, payload: 'a', attempt: 1 }]);
    });

    it('cancels what waits, and aborts what runs: it is neither tried again nor a dead letter', async () => {
      let cancelled: unknown;
      let reason: unknown;
      const { queue, run } = await start(async ({ id, signal }) => {
        if (runs.length > 1) return;
        const aborts = new Promise((resolve) => {
          signal.addEventListener('abort', resolve);
        });
        cancelled = await queue.cancel('tasks', id);
        await aborts;
        reason = signal.reason;
        signal.throwIfAborted();
      });
      await queue.pause('tasks');
      const [first = '', second = ''] = await queue.publishMany('tasks', ['a', 'b']);
      expect(await queue.cancel('tasks', second)).toBe('removed');
      expect(await queue.cancel('tasks', second)).toBe('not-found');
      await queue.resume('tasks');
      await run();
      expect(cancelled).toBe('aborting');
      expect(reason).toMatchObject({ code: 'SLUICE_TASK_CANCELLED', taskId: first });
      expect(runs).toEqual([{ id: first, payload: 'a', attempt: 1 }]);
      expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, running: 0, delayed: 0, dead: 0 });
      expect(queue.stats().cancelled).toBe(1);
    });

    it('publishes a task about each dead letter, and none about that one', async () => {
      const deadLetterTo = '{tasks}.failures';
      const { queue, run } = await start(
        throws(() => new DeadLetterTask('spam')),
        { deadLetterTo },
      );
      const id = await queue.publish('tasks', { n: 1 });
      await queue.pause(deadLetterTo);
      await run();
      const { tasks } = await queue.list(deadLetterTo);
      expect(tasks.map(({ payload }) => payload)).toEqual([
        {
          ...{ queue: 'tasks', id, payload: { n: 1 }, reason: 'spam', attempts: 1 },
          ...{ group: expect.any(String), error: expect.stringContaining('spam') },
        },
      ]);
      expect((await queue.dead('tasks').list()).tasks).toMatchObject([{ id }]);
    });
  });
}
