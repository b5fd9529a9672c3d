import { describe, expect, it } from '@jest/globals';
import { gate } from '../../../test/support/gate.js';
import type { QueueApp, TestHandler } from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { DropTask, defineQueue, type Task } from '../index.js';

const bed = new QueueBed();
/** With a seeded fault, calls hang: `npm run mutants` shortens this with all deadlines. */
const WAIT = { key: 'k', timeoutMs: Number(process.env['SLUICE_UNTIL_MS'] ?? 600_000) };

/** A process that handles `tasks`, and one that waits. */
async function start(run: TestHandler): Promise<QueueApp> {
  const waiting = await bed.start({});
  await bed.start({ handlers: { tasks: run } });
  return waiting;
}
const joined = async (): Promise<number> => {
  const [key] = await bed.admin.keys('*~waiters:*');
  return key === undefined ? 0 : bed.admin.hlen(key);
};
const untilJoined = (count: number): Promise<unknown> =>
  until(async () => (await joined()) === count, { what: `${count} calls wait` });
const untilNothingIsKept = (): Promise<unknown> =>
  until(async () => (await bed.admin.keys('*~result:*')).length === 0, { what: 'no result is kept' });

describe('publishAndWait with a key', () => {
  it('many calls have one run and one result, and leave nothing behind', async () => {
    const { opened, open } = gate();
    let runs = 0;
    const { queue } = await start(async (task: Task<number>) => {
      await opened;
      return { run: ++runs, payload: task.payload };
    });
    const results = [1, 2, 3, 4, 5].map((n) => queue.publishAndWait('tasks', n, WAIT));
    await untilJoined(5);
    const [name = ''] = await bed.admin.keys('*~waiters:*');
    expect(await bed.admin.pttl(name)).toBeGreaterThan(0);
    open();
    const all = await Promise.all(results);
    expect(all).toEqual(new Array(5).fill(all[0]));
    expect(all[0]).toMatchObject({ run: 1 });
    await bed.untilSettled();
    await untilNothingIsKept();
    expect(await joined()).toBe(0);
    expect(await queue.publishAndWait('tasks', 6, WAIT)).toEqual({ run: 2, payload: 6 });
  });

  it.each<[string, (queue: QueueApp['queue']) => Promise<unknown>]>([
    ['waits', (queue) => queue.publishUnique('tasks', 'first', { key: 'k' })],
    ['is delayed', (queue) => queue.publishUnique('tasks', 'first', { key: 'k', delayMs: 500 })],
    ['is put off', (queue) => queue.publishUnique('tasks', 'first', { key: 'k', mode: 'debounce', windowMs: 500 })],
    ['is collected', (queue) => queue.collect('tasks', 'first', { key: 'k', waitMs: 500 })],
  ])('joins a task that %s', async (_, publish) => {
    const { queue } = await bed.start({});
    await publish(queue);
    const result = queue.publishAndWait('tasks', 'second', WAIT);
    await untilJoined(1);
    await bed.start({ handlers: { tasks: ({ payload }: Task<never>) => payload } });
    expect([await result].flat()).toEqual(['first']);
  });

  it('joins a task that rests before a retry, and has the result of the run that succeeds', async () => {
    const failed = gate();
    const { queue } = await start({
      run: ({ attempt }: Task<never>) => {
        failed.open();
        if (attempt === 1) throw new Error('not yet');
        return attempt;
      },
      options: { backoff: 1_000 },
    });
    await queue.publishUnique('tasks', 1, { key: 'k' });
    await failed.opened;
    await until(async () => (await queue.counts('tasks')).delayed === 1, { what: 'it rests' });
    expect(await queue.publishAndWait('tasks', 2, WAIT)).toBe(2);
  });

  it('publishes anew when the task has ended, also within a window', async () => {
    let runs = 0;
    const { queue } = await start(() => ++runs);
    await queue.publishUnique('tasks', 1, { key: 'k', windowMs: 600_000 });
    await until(() => runs === 1, { what: 'it has run' });
    await bed.untilSettled();
    expect(await queue.publishAndWait('tasks', 2, WAIT)).toBe(2);
  });

  it('has the result of its own task if the one before is settled late', async () => {
    const { queue } = await bed.start({});
    await queue.publishUnique('tasks', 'first', { key: 'k' });
    const [[id, fields]] = (await bed.admin.xrange('tasks', '-', '+')) as [[string, string[]]];
    await bed.admin.xdel('tasks', id);
    const result = queue.publishAndWait('tasks', 'second', { ...WAIT, delayMs: 500 });
    await untilJoined(1);
    // The first one comes back, as after an operator's mistake.
    await bed.admin.xadd('tasks', '*', ...fields.slice(0, 6), 'meta', `${fields[7]?.slice(0, -1)},"id":"${id}"}`);
    await bed.start({
      handlers: { tasks: { run: ({ payload }: Task<never>) => payload, options: { concurrency: 1 } } },
    });
    expect(await result).toBe('second');
    await bed.untilSettled();
  });

  it('a large result is sent only to those who wait', async () => {
    const large = 'x'.repeat(10_000);
    const { opened, open } = gate();
    const { queue } = await start(async () => {
      await opened;
      return large;
    });
    const result = queue.publishAndWait('tasks', 1, WAIT);
    await untilJoined(1);
    open();
    expect(await result).toBe(large);
    await queue.publishUnique('tasks', 1, { key: 'alone' });
    await bed.untilSettled();
    await untilNothingIsKept();
  });

  it('all who wait learn that it is a dead letter, was dropped, or how far it is', async () => {
    const { opened, open } = gate();
    const { queue } = await start({
      run: async (task: Task<string>) => {
        task.progress('begun');
        await opened;
        task.progress('half');
        if (task.payload === 'drop') throw new DropTask();
        throw new Error('as asked');
      },
      options: { maxAttempts: 1 },
    });
    const told: unknown[] = [];
    const onProgress = (value: unknown): void => void told.push(value);
    const calls = ['dead', 'dead', 'drop', 'drop'].map((key) =>
      queue.publishAndWait('tasks', key, { ...WAIT, key, onProgress }).catch((error: unknown) => error),
    );
    // From here on, Redis knows the script, and the last report comes before the end.
    await until(() => told.length > 0, { what: 'the first report is told' });
    open();
    expect(await Promise.all(calls)).toMatchObject([
      { how: 'dead' },
      { how: 'dead' },
      { how: 'dropped' },
      { how: 'dropped' },
    ]);
    expect(told.filter((value) => value === 'half').length).toBeGreaterThan(0);
  });

  it('each call has its own time', async () => {
    const { opened, open } = gate();
    const { queue } = await start(async () => {
      await opened;
      return 'late';
    });
    const long = queue.publishAndWait('tasks', 1, WAIT);
    await untilJoined(1);
    await expect(queue.publishAndWait('tasks', 1, { ...WAIT, timeoutMs: 50 })).rejects.toMatchObject({
      code: 'SLUICE_TASK_WAIT_TIMEOUT',
    });
    open();
    expect(await long).toBe('late');
  });

  it('is refused where several groups read the queue, and on a queue with a length', async () => {
    const { queue } = await bed.start({});
    await expect(
      queue.publishAndWait(defineQueue('tasks', { maxLength: { limit: 1 } }), 1, WAIT),
    ).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION', message: expect.stringContaining('with a key') });
    for (const group of ['a', 'b']) await bed.admin.xgroup('CREATE', 'tasks', group, '0', 'MKSTREAM');
    await expect(queue.publishAndWait('tasks', 1, WAIT)).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
      message: expect.stringContaining("'a', 'b'"),
    });
    expect(await bed.admin.xlen('tasks')).toBe(0);
    expect(await joined()).toBe(0);
  });

  it('a key in the meta of other software becomes no key of Redis', async () => {
    const key = `{tasks}:~waiters:${'x'.repeat(100)}`;
    await bed.admin.hset(key, 'token', '1-1 9999999999999 host:7:abc sluice');
    await bed.admin.set(`{tasks}:~waiters:${'y'.repeat(22)}`, 'mine');
    await bed.admin.xadd(
      'tasks',
      '1-1',
      'payload',
      '1',
      'meta',
      JSON.stringify({ key: 'x'.repeat(100), reply: 'none' }),
    );
    await bed.admin.xadd('tasks', '1-2', 'payload', '1', 'meta', JSON.stringify({ key: 'y'.repeat(22) }));
    await start({
      run: () => {
        throw new Error('a dead letter tells whoever waits');
      },
      options: { maxAttempts: 1 },
    });
    await bed.untilSettled();
    expect(await bed.admin.exists(key)).toBe(1);
  });
});
