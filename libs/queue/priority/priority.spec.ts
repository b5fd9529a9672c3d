import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import type { QueueApp } from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import {
  defineQueue,
  type HandlerOptions,
  type Priority,
  type Shares,
  type SluiceQueueModuleOptions,
  type Task,
} from '../index.js';

const bed = new QueueBed();
const Tasks = defineQueue<string>('tasks', { shares: true });
const LEVELS = ['high', 'normal', 'low'] as const;
const HOUR_MS = 3_600_000;

const levelled: SluiceQueueModuleOptions = { queues: { tasks: { shares: true } } };

/** An app that handles `tasks` with its levels. */
const start = (run: (task: Task) => unknown, options: HandlerOptions = {}): Promise<QueueApp> =>
  bed.start({ queue: levelled, handlers: { tasks: { run, options } } });

/** Where runs wait until they are let go. */
function gate(): { run: () => Promise<void>; open: () => void; running: () => number } {
  const waiting: (() => void)[] = [];
  return {
    run: () => new Promise((resolve) => waiting.push(resolve)),
    open: () => {
      for (const resolve of waiting.splice(0)) resolve();
    },
    running: () => waiting.length,
  };
}

const fails = (): never => {
  throw new Error('as asked');
};

/** Publishes so many tasks of each level, each with its level as payload. */
async function publish({ queue }: QueueApp, counts: Partial<Record<Priority, number>>): Promise<void> {
  for (const [priority, count] of Object.entries(counts)) {
    await queue.publishMany(Tasks, new Array<string>(count).fill(priority), { priority: priority as Priority });
  }
}

const settled = async ({ queue }: QueueApp): Promise<void> => {
  const isEmpty = async (): Promise<boolean> => {
    const { waiting, running, delayed } = await queue.counts(Tasks);
    return waiting + running + delayed === 0;
  };
  await until(isEmpty, { what: 'all levels are empty' });
};

/**
 * The levels of the first `places` tasks, in the order in which they start, when all were there before the first one. A task takes 10 ms. So
 * a process prefetches five tasks for each place at most, and fewer on a slow machine; that many may start out of turn.
 */
async function runs(
  counts: Partial<Record<Priority, number>>,
  places: number,
  { shares = true, concurrency = 1 }: { shares?: Shares | true; concurrency?: number } = {},
): Promise<string[]> {
  const ran: string[] = [];
  const run = async ({ payload }: Task): Promise<void> => {
    ran.push(payload as string);
    await pause(10);
  };
  const app = await bed.start({
    queue: { queues: { tasks: { shares } } },
    handlers: { tasks: { run, options: { concurrency } } },
  });
  await app.queue.pause(Tasks);
  await publish(app, counts);
  await app.queue.resume(Tasks);
  await until(() => ran.length >= places, { what: 'enough have started' });
  return ran.slice(0, places);
}

/** The levels whose number differs from the wanted one by more than `slack`. */
function near(ran: readonly string[], wanted: Record<Priority, number>, slack: number): string[] {
  return LEVELS.flatMap((level) => {
    const count = ran.filter((each) => each === level).length;
    return Math.abs(count - wanted[level]) <= slack ? [] : [`${level}: ${count} instead of ${wanted[level]}`];
  });
}

describe('levels of priority', () => {
  it('all reach the handler of the queue, which need not know them', async () => {
    const ran: Task[] = [];
    const app = await start((task) => ran.push(task));
    const id = await app.queue.publish(Tasks, 'a', { priority: 'high' });
    const ids = await app.queue.publishMany(Tasks, ['high', 'normal', 'low', 'none'], (level) =>
      level === 'none' ? {} : { priority: level as Priority, ...(level === 'low' && { delayMs: 5 }) },
    );
    await until(() => ran.length === 5, { what: 'all ran' });
    expect(ran.map((task) => task.id).sort()).toEqual([id, ...ids].sort());
    expect(new Set(ran.map(({ stream }) => stream))).toEqual(new Set(['tasks']));
    await settled(app);
  });

  it('share the starts 8 : 4 : 1 while all have tasks', async () => {
    const ran = await runs({ low: 60, normal: 150, high: 250 }, 260);
    expect(near(ran, { high: 160, normal: 80, low: 20 }, 12)).toEqual([]);
  });

  it('share with several places at a time too, and by the shares of the configuration', async () => {
    const ran = await runs({ low: 150, normal: 250, high: 350 }, 540, {
      shares: { high: 3, normal: 2 },
      concurrency: 4,
    });
    expect(near(ran, { high: 270, normal: 180, low: 90 }, 35)).toEqual([]);
  });

  it('that are low get their share under a flood of high ones', async () => {
    // One of nine, as the level `normal` has none.
    const ran = await runs({ low: 60, high: 400 }, 270);
    expect(near(ran, { high: 240, normal: 0, low: 30 }, 12)).toEqual([]);
  });

  it('that are high do not wait behind a flood of low ones', async () => {
    const ran = await runs({ low: 200, high: 40 }, 80);
    // After eight of them there is one low one. The first read does not know yet which levels have tasks.
    expect(ran.filter((each) => each === 'high')).toHaveLength(40);
    expect(ran.lastIndexOf('high')).toBeLessThanOrEqual(45 + 12);
  });

  it('that are empty cost the others nothing of their concurrency', async () => {
    const { run, open, running } = gate();
    const app = await start(() => run(), { concurrency: 7 });
    await publish(app, { low: 7 });
    await until(() => running() === 7, { what: 'low ones have all places' });
    open();
    await settled(app);
  });

  it('have the concurrency of the queue together', async () => {
    const { run, open, running } = gate();
    let most = 0;
    const app = await start(
      async () => {
        const ended = run();
        most = Math.max(most, running());
        await ended;
      },
      { concurrency: 3 },
    );
    await publish(app, { low: 6, normal: 6, high: 6 });
    for (let ran = 0; ran < 18;) {
      await until(() => running() > 0, { what: 'one runs' });
      ran += running();
      open();
    }
    await settled(app);
    expect(most).toBeLessThanOrEqual(3);
  });
});

describe('a task keeps its level', () => {
  it('through delays, retries, as a dead letter, and when it is brought back', async () => {
    const app = await start(fails, { maxAttempts: 2, backoff: HOUR_MS });
    const { queue } = app;
    const id = await queue.publish(Tasks, 'a', { priority: 'low', delayMs: HOUR_MS });
    expect(await queue.inspect(Tasks, id)).toMatchObject({ state: 'delayed', priority: 'low' });
    expect(await queue.runNow(Tasks, id)).toBe(true);
    await until(async () => (await queue.inspect(Tasks, id))?.attempt === 2, { what: 'its first run failed' });
    expect(await queue.inspect(Tasks, id)).toMatchObject({ state: 'delayed', priority: 'low' });
    expect(await queue.runNow(Tasks, id)).toBe(true);
    await until(async () => (await queue.counts(Tasks)).dead === 1, { what: 'it is dead' });
    const { tasks } = await queue.dead(Tasks).list({ filter: ({ priority }) => priority === 'low' });
    expect(tasks).toMatchObject([{ id, priority: 'low' }]);
    await queue.pause(Tasks);
    expect(await queue.dead(Tasks).redrive({ filter: ({ priority }) => priority === 'high' })).toBe(0);
    expect(await queue.dead(Tasks).redrive()).toBe(1);
    expect(await queue.inspect(Tasks, id)).toMatchObject({ state: 'waiting', priority: 'low' });
    expect(await queue.counts(Tasks)).toMatchObject({
      waiting: 1,
      levels: { low: { waiting: 1 }, normal: { waiting: 0 } },
    });
  });

  it('in the own retries of each group', async () => {
    const options = { backoff: HOUR_MS };
    const app = await start(fails, { ...options, group: 'one' });
    let ran = 0;
    await start(() => ran++, { ...options, group: 'two' });
    await app.queue.publish(Tasks, 'a', { priority: 'high' });
    await until(async () => (await bed.admin.zcard('{tasks}:~high:~delayed:one')) === 1, { what: 'one retries alone' });
    await until(() => ran === 1, { what: 'two has it' });
    expect(await app.queue.counts(Tasks, { group: 'one' })).toMatchObject({
      delayed: 1,
      levels: { high: { delayed: 1 } },
    });
  });
});

describe('groups', () => {
  const groupsOf = async (stream: string): Promise<string[]> =>
    ((await bed.admin.xinfo('GROUPS', stream)) as string[][]).map((row) => row[1]!).sort();

  it('are all there before the first task of a level, whoever knows of it', async () => {
    // The processes of this group are of a release without levels.
    await bed.admin.xgroup('CREATE', 'tasks', 'older', '0', 'MKSTREAM');
    const { queue } = await bed.start({});
    await queue.publish(Tasks, 'a', { priority: 'high' });
    await queue.publishMany(Tasks, ['b'], { priority: 'low', delayMs: HOUR_MS });
    expect(await groupsOf('{tasks}:~high')).toEqual(['older']);
    expect(await groupsOf('{tasks}:~low')).toEqual(['older']);
    await bed.admin.xgroup('CREATE', 'tasks', 'newer', '0');
    await queue.publish(Tasks, 'c', { priority: 'high' });
    expect(await groupsOf('{tasks}:~high')).toEqual(['newer', 'older']);
    let ran = 0;
    const app = await start(() => ran++);
    await until(() => ran === 2, { what: 'this group has both' });
    // The others have not: so the tasks stay for them.
    await until(async () => (await app.queue.counts(Tasks)).running === 0, { what: 'both are settled' });
    expect(await bed.admin.xlen('{tasks}:~high')).toBe(2);
    expect(await app.queue.groups(Tasks).list()).toMatchObject(
      expect.arrayContaining([expect.objectContaining({ name: 'older', waiting: 2 })]),
    );
    expect(await app.queue.groups(Tasks).drop('older')).toBe(true);
    // This process knows the queue by its bare name alone.
    expect(await queue.groups('tasks').list()).toMatchObject(
      expect.arrayContaining([expect.objectContaining({ name: 'newer', waiting: 2 })]),
    );
    expect(await queue.groups('tasks').drop('newer')).toBe(true);
    expect(await groupsOf('{tasks}:~high')).toEqual(['sluice']);
    await until(async () => (await bed.admin.xlen('{tasks}:~high')) === 0, { what: 'the tasks are deleted' });
  });
});

describe('operations', () => {
  it('are on all levels', async () => {
    const { queue } = await bed.start({});
    const ids = await queue.publishMany(Tasks, [...LEVELS], (priority) => ({ priority: priority as Priority }));
    const [high = '', normal = '', low = ''] = ids;
    await queue.publish(Tasks, 'later', { priority: 'high', runAt: new Date(Date.now() + HOUR_MS) });
    expect(await queue.counts(Tasks)).toMatchObject({
      ...{ waiting: 3, delayed: 1, running: 0, dead: 0, paused: false, oldestWaitingMs: expect.any(Number) },
      levels: { high: { waiting: 1, delayed: 1 }, normal: { waiting: 1 }, low: { waiting: 1 } },
    });
    const seen: unknown[] = [];
    for (let after: string | undefined; ;) {
      const page = await queue.list(Tasks, { limit: 1, ...(after !== undefined && { after }) });
      seen.push(...page.tasks.map(({ id, priority }) => [id, priority]));
      if (page.next === undefined) break;
      after = page.next;
    }
    expect(seen).toEqual(ids.map((id, i) => [id, LEVELS[i]]));
    expect((await queue.list(Tasks, { state: 'delayed' })).tasks).toMatchObject([
      { payload: 'later', priority: 'high' },
    ]);
    expect(await queue.inspect(Tasks, low)).toMatchObject({ payload: 'low', priority: 'low' });
    expect(await queue.cancel(Tasks, high)).toBe('removed');
    expect(await queue.cancel(Tasks, high)).toBe('not-found');
    expect(await queue.remove(Tasks, low)).toBe(true);
    expect(await queue.remove(Tasks, low)).toBe(false);
    expect(await queue.inspect(Tasks, normal)).toMatchObject({ payload: 'normal', priority: 'normal' });
    await start(() => {});
    await until(async () => (await queue.workers(Tasks)).length === 1, { what: 'one process works' });
  });

  it('find a task by its id, though entries of the levels have the same ids', async () => {
    const { queue } = await bed.start({});
    const id = await queue.publish(Tasks, 'normal');
    const high = await queue.publish(Tasks, 'high', { priority: 'high' });
    const fields = ['payload', '"other"', 'timestamp', 1, 'retry_count', 0, 'meta', '{"id":"other"}'];
    await bed.admin.xadd('{tasks}:~low', id, ...fields);
    await queue.publish(Tasks, 'low', { priority: 'low' });
    expect(await queue.inspect(Tasks, id)).toMatchObject({ payload: 'normal', priority: 'normal' });
    const { tasks } = await queue.list(Tasks);
    expect(new Set(tasks.map((task) => task.id)).size).toBe(4);
    expect(high).not.toMatch(/^\d+-\d+$/);
    expect(await queue.remove(Tasks, high)).toBe(true);
    expect((await queue.list(Tasks)).tasks.map(({ payload }) => payload)).toEqual(['normal', 'other', 'low']);
  });

  it('cancel a task of a level that runs, and wait for all levels to be idle', async () => {
    const { run, open, running } = gate();
    const { queue } = await start(({ signal, payload }) => (payload === 'low' ? run() : never(signal)));
    const other = await bed.start({});
    await queue.publish(Tasks, 'low', { priority: 'low' });
    const id = await queue.publish(Tasks, 'high', { priority: 'high' });
    await until(async () => (await queue.counts(Tasks)).running === 2, { what: 'both run' });
    await until(() => running() === 1, { what: 'one has begun' });
    expect(await queue.cancel(Tasks, id)).toBe('aborting');
    await until(async () => (await queue.counts(Tasks)).running === 1, { what: 'it is dropped' });
    let paused = 0;
    // The other process knows the queue by its bare name alone.
    const pausing = Promise.all(
      [queue.pause(Tasks, { wait: true }), other.queue.pause('tasks', { wait: true })].map((each) =>
        each.then(() => paused++),
      ),
    );
    await until(async () => (await queue.counts(Tasks)).paused, { what: 'it is paused' });
    expect(await other.queue.workers('tasks')).toMatchObject([{ running: 1 }]);
    expect(paused).toBe(0);
    open();
    await pausing;
  });

  it('purge the tasks of all levels', async () => {
    const app = await start(fails, { maxAttempts: 1 });
    const { queue } = app;
    await publish(app, { high: 2, normal: 1, low: 1 });
    await until(async () => (await queue.counts(Tasks)).dead === 4, { what: 'all are dead' });
    await queue.pause(Tasks);
    await publish(app, { high: 2, normal: 1, low: 1 });
    expect(await queue.purge(Tasks, 'waiting')).toBe(4);
    expect(await queue.dead(Tasks).purge({ filter: ({ priority }) => priority === 'high' })).toBe(2);
    expect(await queue.purge(Tasks, 'dead')).toBe(2);
    expect(await queue.counts(Tasks)).toMatchObject({ waiting: 0, dead: 0 });
  });

  it('pause by the bare name too, in the fleet and here: a process without levels pauses all', async () => {
    let ran = 0;
    const app = await start(() => ran++);
    const other = await bed.start({});
    expect(await other.queue.pause('tasks')).toEqual({ changed: true, unconfirmed: [] });
    await app.queue.pause(Tasks, { here: true });
    await publish(app, { high: 1, low: 1 });
    await other.queue.resume('tasks');
    expect(await app.queue.counts(Tasks)).toMatchObject({ waiting: 2, paused: false });
    expect(ran).toBe(0);
    await app.queue.resume(Tasks, { here: true });
    await until(() => ran === 2, { what: 'both ran' });
  });
});

function never(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => {
      reject(signal.reason as Error);
    });
  });
}
