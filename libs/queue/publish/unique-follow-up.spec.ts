import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { gate } from '../../../test/support/gate.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { Keyspace, RedisConnections } from '../../redis/index.js';
import { DropTask, type QueueService, type Task, type UniquePublish } from '../index.js';
import { queueKeys } from '../store/queue.keys.js';
import { promoteScript, type Promoted } from '../store/scripts/promote.script.js';

const bed = new QueueBed();
const KEY = { key: 'k' };
const HOUR_MS = 3_600_000;
const followUp = (queue: QueueService, payload: unknown, options: object = {}): Promise<UniquePublish> =>
  queue.publishUnique('tasks', payload, { ...KEY, mode: 'follow-up', ...options });

const keys = queueKeys(new Keyspace(), 'tasks');
let connections: RedisConnections;
beforeAll(async () => {
  connections = await new RedisConnections({ redis: { url: bed.redis.url } }).open();
});
afterAll(() => connections.onApplicationShutdown());
const promote = (): Promise<Promoted> =>
  promoteScript.run(connections.get().commands, { keys, args: { limit: 100, unworked: 0, side: keys.side } });

const gates: ReturnType<typeof gate>[] = [];
afterEach(() => {
  for (const each of gates.splice(0)) each.open();
});

/** A handler that holds its first run until the gate is opened, and what began and ended. */
function heldFirst(end: (task: Task<never>) => void = () => {}): {
  log: string[];
  open: () => void;
  run: (task: Task<never>) => Promise<void>;
} {
  const closed = gate();
  gates.push(closed);
  const log: string[] = [];
  let first = true;
  const run = async (task: Task<never>): Promise<void> => {
    log.push(`begins ${String(task.payload)}`);
    const isFirst = first;
    first = false;
    if (isFirst) await closed.opened;
    log.push(`ends ${String(task.payload)}`);
    if (isFirst) end(task);
  };
  return {
    log,
    run,
    open: () => {
      closed.open();
    },
  };
}

describe("mode: 'follow-up'", () => {
  it('runs once more when the task that a worker has is done, with the newest payload', async () => {
    const { log, run, open } = heldFirst();
    const { queue } = await bed.start({ handlers: { tasks: { run, options: { concurrency: 5 } } } });
    const first = await followUp(queue, 1);
    expect(first).toMatchObject({ outcome: 'published' });
    await until(() => log.length === 1, { what: 'it runs' });
    const second = await followUp(queue, 2);
    expect(second).toEqual({ id: expect.not.stringContaining(first.id), outcome: 'follows' });
    for (const payload of [3, 4]) expect(await followUp(queue, payload)).toEqual(second);
    expect(await queue.inspect('tasks', KEY)).toMatchObject({ id: second.id, state: 'delayed', payload: 4 });
    expect(await queue.counts('tasks')).toMatchObject({ running: 1, delayed: 1, waiting: 0 });
    open();
    await until(() => log.length === 4, { what: 'the second one ran' });
    await bed.untilSettled();
    expect(log).toEqual(['begins 1', 'ends 1', 'begins 4', 'ends 4']);
    await until(async () => (await bed.admin.keys('*:~key:*')).length === 0, { what: 'the key is forgotten' });
    expect((await followUp(queue, 5)).outcome).toBe('published');
  });

  it('replaces a task that nobody has yet, so that one run is enough', async () => {
    const { queue } = await bed.start({});
    const { id } = await followUp(queue, 1);
    expect(await followUp(queue, 2, { maxAttempts: 7 })).toEqual({ id, outcome: 'replaced' });
    expect((await queue.list('tasks')).tasks).toMatchObject([{ id, payload: 2 }]);
    const delayed = await queue.publishUnique('tasks', 1, { key: 'later', delayMs: HOUR_MS });
    expect(await followUp(queue, 3, { key: 'later' })).toEqual({ id: delayed.id, outcome: 'replaced' });
    expect(await queue.inspect('tasks', delayed.id)).toMatchObject({ payload: 3, state: 'delayed' });
  });

  it('begins after every attempt of the active task, and after its dead letter', async () => {
    const { log, run, open } = heldFirst(() => {
      throw new Error('no');
    });
    const { queue } = await bed.start({
      handlers: { tasks: { run, options: { concurrency: 5 } } },
      queue: { backoff: HOUR_MS },
    });
    const first = await followUp(queue, 1);
    await until(() => log.length === 1, { what: 'it runs' });
    const second = await followUp(queue, 2);
    open();
    await until(async () => (await queue.inspect('tasks', first.id))?.attempt === 2, { what: 'it rests' });
    // The message at the end of the first attempt has come by now, or is not needed.
    await queue.runNow('tasks', second.id);
    expect(await promote()).toMatchObject({ count: 0 });
    expect(await followUp(queue, 3)).toEqual({ id: second.id, outcome: 'follows' });
    await queue.runNow('tasks', first.id);
    await until(() => log.length === 6, { what: 'both have run' });
    expect(log.slice(2)).toEqual(['begins 1', 'ends 1', 'begins 3', 'ends 3']);
  });

  it.each<[string, (task: Task<never>) => void]>([
    [
      'a dead letter',
      () => {
        throw new Error('no');
      },
    ],
    [
      'dropped',
      () => {
        throw new DropTask('no');
      },
    ],
  ])('begins at once when the active task is %s', async (_, end) => {
    const { log, run, open } = heldFirst(end);
    const { queue } = await bed.start({
      handlers: { tasks: { run, options: { concurrency: 5, maxAttempts: 1 } } },
    });
    await followUp(queue, 1);
    await until(() => log.length === 1, { what: 'it runs' });
    const { id } = await followUp(queue, 2);
    // The rhythm of looking is out of the way.
    await bed.admin.zadd('{tasks}:~delayed', 4_000_000_000_000, id);
    open();
    await until(() => log.length === 4, { what: 'the second one ran' });
  });

  it('begins when the active task is gone without a word', async () => {
    const gone: Record<string, (id: string) => Promise<unknown>> = {
      acknowledged: (id) => bed.admin.xack('tasks', 'sluice', id),
      deleted: (id) => bed.admin.xdel('tasks', id),
      trimmed: () => bed.admin.xtrim('tasks', 'MAXLEN', 0),
    };
    await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0', 'MKSTREAM');
    const { queue } = await bed.start({});
    for (const [key, end] of Object.entries(gone)) {
      const first = await followUp(queue, 1, { key });
      await bed.admin.xreadgroup('GROUP', 'sluice', 'other', 'STREAMS', 'tasks', '>');
      const second = await followUp(queue, 2, { key });
      expect(second.outcome).toBe('follows');
      const hold = async (): Promise<Promoted> => {
        await bed.admin.zadd('{tasks}:~delayed', 0, second.id);
        return promote();
      };
      const { count, nextMs } = await hold();
      expect(count).toBe(0);
      expect(nextMs).toBeGreaterThan(0);
      expect(nextMs).toBeLessThanOrEqual(5_000);
      expect(await queue.inspect('tasks', second.id)).toMatchObject({ payload: 2, state: 'delayed' });
      await end(first.id);
      // It follows nothing any more, and says so.
      const isReplaced = key === 'deleted';
      if (isReplaced) expect(await followUp(queue, 3, { key })).toEqual({ id: second.id, outcome: 'replaced' });
      await hold();
      const { tasks } = await queue.list('tasks');
      expect(tasks.map(({ id, payload }) => [id, payload])).toContainEqual([second.id, isReplaced ? 3 : 2]);
      const fields = (await bed.admin.xrevrange('tasks', '+', '-', 'COUNT', 1))[0]![1];
      expect(fields.filter((_, i) => i % 2 === 0)).toEqual(['payload', 'timestamp', 'retry_count', 'meta']);
      await bed.admin.flushall();
      await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0', 'MKSTREAM');
    }
  });

  it('moves what is due beside it, and keeps the order', async () => {
    await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0', 'MKSTREAM');
    const { queue } = await bed.start({});
    await followUp(queue, 1);
    await bed.admin.xreadgroup('GROUP', 'sluice', 'other', 'STREAMS', 'tasks', '>');
    const { id } = await followUp(queue, 2);
    const others = [
      await queue.publish('tasks', 'a', { delayMs: HOUR_MS }),
      await queue.publish('tasks', 'b', { delayMs: HOUR_MS }),
    ];
    await bed.admin.zadd('{tasks}:~delayed', 1, others[0]!, 2, id, 3, others[1]!);
    expect(await promote()).toMatchObject({ broken: [] });
    const { tasks } = await queue.list('tasks');
    expect(tasks.map(({ payload }) => payload)).toEqual(['a', 'b']);
    expect(await bed.admin.hkeys('{tasks}:~bodies')).toEqual([id]);
  });

  it('follows the same task again if the one that waited was removed', async () => {
    const { log, run, open } = heldFirst();
    const { queue } = await bed.start({ handlers: { tasks: { run, options: { concurrency: 5 } } } });
    await followUp(queue, 1);
    await until(() => log.length === 1, { what: 'it runs' });
    const second = await followUp(queue, 2);
    expect(await queue.remove('tasks', KEY)).toBe(true);
    const third = await followUp(queue, 3);
    expect(third.outcome).toBe('follows');
    expect(third.id).not.toBe(second.id);
    open();
    await until(() => log.length === 4, { what: 'the third one ran' });
    expect(log.slice(1)).toEqual(['ends 1', 'begins 3', 'ends 3']);
  });

  it('goes on in a chain: what a worker has is followed, one at a time', async () => {
    let running = 0;
    let most = 0;
    const ran: number[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: {
          run: async ({ payload }: Task<never>) => {
            most = Math.max(most, ++running);
            ran.push(payload);
            await new Promise((resolve) => setImmediate(resolve));
            running--;
          },
          options: { concurrency: 10 },
        },
      },
    });
    for (let n = 1; n <= 300; n++) await followUp(queue, n);
    await until(() => ran.at(-1) === 300, { what: 'the last payload ran' });
    expect(most).toBe(1);
    expect(ran).toEqual([...ran].sort((a, b) => a - b));
  });

  it('keeps what it follows when it is replaced or put off by other modes', async () => {
    const { log, run, open } = heldFirst();
    const { queue } = await bed.start({ handlers: { tasks: { run, options: { concurrency: 5 } } } });
    await followUp(queue, 1);
    await until(() => log.length === 1, { what: 'it runs' });
    const { id } = await followUp(queue, 2);
    expect(await queue.publishUnique('tasks', 3, { ...KEY, mode: 'replace' })).toEqual({ id, outcome: 'follows' });
    expect(await queue.publishUnique('tasks', 4, KEY)).toEqual({ id, outcome: 'skipped' });
    const debounced = await queue.publishUnique('tasks', 5, { ...KEY, mode: 'debounce', windowMs: 1 });
    expect(debounced).toEqual({ id, outcome: 'postponed' });
    await bed.admin.zadd('{tasks}:~delayed', 0, id);
    expect(await promote()).toMatchObject({ count: 0 });
    open();
    await until(async () => (await queue.counts('tasks')).running === 0, { what: 'it is done' });
    await queue.runNow('tasks', id);
    await until(() => log.length === 4, { what: 'the second one ran' });
    expect(log.slice(2)).toEqual(['begins 5', 'ends 5']);
  });

  it('answers a repeat with its nonce as before, though the task is done', async () => {
    const { log, run, open } = heldFirst();
    const { queue } = await bed.start({ handlers: { tasks: run } });
    await followUp(queue, 1);
    await until(() => log.length === 1, { what: 'it runs' });
    const second = await followUp(queue, 2, { nonce: 'n' });
    expect(await followUp(queue, 2, { nonce: 'n' })).toEqual(second);
    open();
    await until(() => log.length === 4, { what: 'both ran' });
    await bed.untilSettled();
    expect(await followUp(queue, 2, { nonce: 'n' })).toEqual(second);
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, delayed: 0, running: 0 });
  });

  it('is for one group, and has neither a window nor a delay', async () => {
    for (const group of ['one', 'two']) await bed.admin.xgroup('CREATE', 'tasks', group, '0', 'MKSTREAM');
    const { queue } = await bed.start({});
    await expect(followUp(queue, 1)).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
      message: expect.stringContaining("mode 'follow-up' is for queues that one group reads"),
    });
    expect(await bed.admin.xlen('tasks')).toBe(0);
    await expect(followUp(queue, 1, { windowMs: 5 })).rejects.toThrow('windowMs must be left out with follow-up');
    await expect(followUp(queue, 1, { maxWaitMs: 5 })).rejects.toThrow('maxWaitMs must be left out without debounce');
    await expect(followUp(queue, 1, { delayMs: 5 })).rejects.toThrow('delayMs and runAt must be left out');
    await expect(followUp(queue, 1, { runAt: new Date() })).rejects.toThrow('delayMs and runAt must be left out');
  });
});
