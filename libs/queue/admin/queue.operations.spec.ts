import { describe, expect, it } from '@jest/globals';
import { gate } from '../../../test/support/gate.js';
import type { QueueApp } from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { frame } from '../../redis/index.js';
import type { HandlerOptions, QueueService, Task, TaskInfo, TaskState } from '../index.js';
import { RELEASED } from '../store/queue.keys.js';

const bed = new QueueBed();
const producer = async (): Promise<QueueService> => (await bed.start({ queue: { consumers: false } })).queue;
const none = { waiting: 0, running: 0, delayed: 0, dead: 0, oldestWaitingMs: null, paused: false };

/** Entries are handed to `consumer`. */
const read = (count: number, consumer = 'foreign', group = 'sluice', stream = 'tasks'): Promise<unknown> =>
  bed.admin.xreadgroup('GROUP', group, consumer, 'COUNT', count, 'STREAMS', stream, '>');
const newGroup = (group = 'sluice', stream = 'tasks'): Promise<unknown> =>
  bed.admin.xgroup('CREATE', stream, group, '0', 'MKSTREAM');

/** A task that is due in `ms`. */
async function publishDelayed(id: string, ms: number, suffix = ''): Promise<void> {
  const meta = JSON.stringify({ id });
  await bed.admin.zadd(`{tasks}:~delayed${suffix}`, Date.now() + ms, id);
  await bed.admin.hset(`{tasks}:~bodies${suffix}`, id, frame(JSON.stringify(id), '1700000000', '1', meta, 'more', 'x'));
}

describe('counts', () => {
  it('are zero for a queue that does not exist, and read nothing but', async () => {
    expect(await (await producer()).counts('tasks')).toEqual(none);
    expect(await bed.admin.keys('*')).toEqual([]);
  });

  it('count what was published before any worker came, and its age', async () => {
    const queue = await producer();
    const [seconds] = await bed.admin.time();
    await bed.admin.xadd('tasks', `${Number(seconds) * 1_000 - 60_000}-1`, 'payload', '1');
    await queue.publishMany('tasks', [2, 3]);
    const { oldestWaitingMs, ...counts } = await queue.counts('tasks');
    expect(counts).toMatchObject({ waiting: 3, running: 0 });
    expect(oldestWaitingMs).toBeGreaterThanOrEqual(59_000);
    expect(oldestWaitingMs).toBeLessThan(90_000);
  });

  it('count right where the lag of Redis is unknown: behind an older task, newer ones were settled', async () => {
    const queue = await producer();
    await newGroup();
    const ids = await queue.publishMany('tasks', [1, 2, 3, 4, 5, 6]);
    await read(3);
    await bed.admin.xack('tasks', 'sluice', ids[2]!);
    await bed.admin.xdel('tasks', ids[2]!);
    const [group] = (await bed.admin.xinfo('GROUPS', 'tasks')) as unknown[][];
    expect(group!.slice(-2)).toEqual(['lag', null]);
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 3, running: 2 });
  });

  it('are never below zero, though the stream was trimmed under running tasks', async () => {
    const queue = await producer();
    await newGroup();
    await queue.publishMany('tasks', [1, 2, 3]);
    await read(3);
    await bed.admin.xtrim('tasks', 'MAXLEN', 0);
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, running: 3 });
    await queue.publish('tasks', 4);
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 1, running: 3 });
  });

  it('count what was returned as waiting, since it was published', async () => {
    const queue = await producer();
    await newGroup();
    await bed.admin.xadd('tasks', '1000-1', 'payload', '1');
    await queue.publish('tasks', 2);
    await read(2, RELEASED);
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 2, running: 0 });
    expect((await queue.counts('tasks')).oldestWaitingMs).toBeGreaterThan(Date.now() - 90_000);
  });

  it('count delayed and dead ones, and say that the queue is paused', async () => {
    const queue = await producer();
    await publishDelayed('a', 60_000);
    await publishDelayed('b', 60_000, ':sluice');
    await bed.admin.xadd('{tasks}:~dead', '*', 'payload', '1');
    await queue.pause('tasks');
    expect(await queue.counts('tasks')).toEqual({ ...none, delayed: 2, dead: 1, paused: true });
  });

  it('are those of one group where there are several, its own retries included', async () => {
    const queue = await producer();
    await newGroup('sluice');
    await newGroup('other');
    const ids = await queue.publishMany('tasks', [1, 2, 3]);
    await read(1);
    await read(2, 'them', 'other');
    await newGroup('sluice', '{tasks}:~retry:sluice');
    await bed.admin.xadd('{tasks}:~retry:sluice', '*', 'payload', '1');
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 3, running: 1 });
    expect(await queue.counts('tasks', { group: 'other' })).toMatchObject({ waiting: 1, running: 2 });
    // Deleted behind the last one that `other` was given: Redis does not know its lag any more.
    await bed.admin.xdel('tasks', ids[1]!);
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 2, running: 1 });
  });
});

/** All pages. */
async function all(queue: QueueService, state: TaskState, limit: number): Promise<TaskInfo[]> {
  const tasks: TaskInfo[] = [];
  for (let after: string | undefined; ;) {
    const page = await queue.list('tasks', { state, limit, ...(after === undefined ? {} : { after }) });
    expect(page.tasks.length).toBeLessThanOrEqual(limit);
    tasks.push(...page.tasks);
    if (page.next === undefined) return tasks;
    after = page.next;
  }
}

describe('list', () => {
  it.each([1, 2, 3, 100])('pages through every state, each task once, %d at a time', async (limit) => {
    const queue = await producer();
    await newGroup();
    const ids = await queue.publishMany('tasks', [...new Array(9).keys()]);
    await read(2, RELEASED);
    await read(3, 'foreign');
    for (const [id, ms] of [
      ['c', 3_000],
      ['a', 1_000],
      ['b', 1_000],
    ] as const)
      await publishDelayed(id, ms * 60);
    await publishDelayed('own', 1_000, ':sluice');
    const idsOf = async (state: TaskState): Promise<string[]> => (await all(queue, state, limit)).map(({ id }) => id);
    expect(await idsOf('waiting')).toEqual([...ids.slice(0, 2), ...ids.slice(5)]);
    expect(await idsOf('running')).toEqual(ids.slice(2, 5));
    expect(await idsOf('delayed')).toEqual(['a', 'b', 'c', 'own']);
    expect(await idsOf('dead')).toEqual([]);
  });

  it('shows each with what is known of it', async () => {
    const queue = await producer();
    await newGroup();
    const [running] = await queue.publishMany('tasks', [{ n: 1 }]);
    await read(1, 'host');
    const meta = JSON.stringify({ id: '1-1' });
    const waiting = await bed.admin.xadd('tasks', '*', 'payload', 'no json', 'retry_count', '2', 'meta', meta);
    await publishDelayed('later', 60_000);
    expect(await all(queue, 'running', 10)).toEqual([
      {
        ...{ id: running, entryId: running, state: 'running', payload: { n: 1 }, attempt: 1, deliveries: 1 },
        ...{ worker: 'host', publishedAt: expect.any(Date), runningMs: expect.any(Number) },
      },
    ]);
    expect(await all(queue, 'waiting', 10)).toEqual([
      { id: '1-1', entryId: waiting, state: 'waiting', payload: 'no json', attempt: 3, publishedAt: expect.any(Date) },
    ]);
    expect(await all(queue, 'delayed', 10)).toEqual([
      {
        ...{ id: 'later', state: 'delayed', payload: 'later', attempt: 2 },
        ...{ publishedAt: new Date(1_700_000_000_000), dueAt: expect.any(Date) },
      },
    ]);
  });

  it('goes on when the last one that was seen is gone', async () => {
    const queue = await producer();
    for (const id of ['a', 'b', 'c']) await publishDelayed(id, 60_000);
    await bed.admin.zadd('{tasks}:~delayed', 5_000, 'a', 6_000, 'b', 7_000, 'c');
    const { next } = await queue.list('tasks', { state: 'delayed', limit: 2 });
    await queue.remove('tasks', 'b');
    expect((await queue.list('tasks', { state: 'delayed', after: next! })).tasks.map(({ id }) => id)).toEqual(['c']);
  });

  it('refuses what it cannot list', async () => {
    const queue = await producer();
    const bad = { code: 'SLUICE_BAD_OPTION' };
    await expect(queue.list('tasks', { limit: 0 })).rejects.toMatchObject(bad);
    await expect(queue.list('tasks', { after: 'x' })).rejects.toMatchObject(bad);
    await expect(queue.list('tasks', { state: 'done' as 'dead' })).rejects.toMatchObject(bad);
    await expect(queue.list('{', {})).rejects.toMatchObject({ code: 'SLUICE_BAD_NAME' });
  });
});

describe('workers', () => {
  it('are listed while they live, with what they have', async () => {
    const { opened, open } = gate();
    const startedMs = Date.now();
    const { queue, app, connections } = await bed.start({ handlers: { tasks: () => opened } });
    const idle: QueueApp = await bed.start({ queue: { consumers: false } });
    expect(await idle.queue.workers('other')).toEqual([]);
    await queue.publishMany('tasks', [1, 2]);
    await until(async () => (await queue.counts('tasks')).running === 2, { what: 'both run' });
    const [worker, ...others] = await idle.queue.workers('tasks');
    expect(others).toEqual([]);
    expect(worker).toMatchObject({ pid: process.pid, group: 'sluice', running: 2 });
    expect(worker!.consumer).toContain(connections.processId);
    expect(connections.processId.startsWith(`${worker!.host}:`)).toBe(true);
    expect(Math.abs(worker!.since.getTime() - startedMs)).toBeLessThan(10_000);
    await bed.admin.zadd('{tasks}:~alive', 1, 'sluice:dead:1:a-b:c');
    expect(await idle.queue.workers('tasks')).toHaveLength(1);
    open();
    await app.close();
    expect(await idle.queue.workers('tasks')).toEqual([]);
  });

  it('of all groups are listed with the retries that they have', async () => {
    const { opened, open } = gate();
    const handler = (group: string): { run: (task: Task<never>) => unknown; options: HandlerOptions } => ({
      run: async ({ attempt }) => {
        if (attempt === 1) throw new Error('as asked');
        await opened;
      },
      options: { group },
    });
    const queue = { leaseMs: 300 };
    const apps = [];
    for (const group of ['a', 'b']) apps.push(await bed.start({ handlers: { tasks: handler(group) }, queue }));
    const idle = await producer();
    await idle.publishMany('tasks', [1, 2]);
    const running = async (): Promise<unknown[]> =>
      (await idle.workers('tasks')).map((worker) => [worker.group, worker.running]).sort();
    await until(async () => (await bed.admin.xlen('{tasks}:~retry:b')) === 2, { what: 'b tries again' });
    await until(async () => JSON.stringify(await running()) === '[["a",2],["b",2]]', { what: 'each has its two' });
    open();
    await bed.untilSettled();
  });
});

describe('operations without a group', () => {
  it('mean the group of the app’s handler, also where the decorator names it', async () => {
    const fails = (): never => {
      throw new Error('later');
    };
    const { queue } = await bed.start({
      handlers: { tasks: { run: fails, options: { group: 'mail', backoff: 60_000 } } },
    });
    const { queue: bills } = await bed.start({
      handlers: { tasks: { run: () => {}, options: { group: 'bill' } } },
    });
    const id = await queue.publish('tasks', 1);
    await until(async () => (await queue.counts('tasks')).delayed === 1, { what: 'its retry waits' });
    expect((await queue.list('tasks', { state: 'delayed' })).tasks).toMatchObject([{ id }]);
    expect(await queue.inspect('tasks', id)).toMatchObject({ id, state: 'delayed' });
    expect((await bills.counts('tasks')).delayed).toBe(0);
    expect(await queue.remove('tasks', id)).toBe(true);
  });
});
