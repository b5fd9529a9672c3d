import { afterEach, describe, expect, it } from '@jest/globals';
import { gate } from '../../../test/support/gate.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { defineQueue, type QueueService, type Task, type UniquePublish } from '../index.js';
import { keyDigest } from '../store/queue.keys.js';

const bed = new QueueBed();
const KEY = { key: 'k' };
const Lists = defineQueue<number[]>('tasks');
const record = `{tasks}:~key:${keyDigest('k')}`;

const gates: ReturnType<typeof gate>[] = [];
afterEach(() => {
  for (const each of gates.splice(0)) each.open();
});
/** A handler that waits until the gate is opened, and what it got. */
function held(): { ran: unknown[]; open: () => void; run: (task: Task<never>) => Promise<void> } {
  const closed = gate();
  gates.push(closed);
  const ran: unknown[] = [];
  const run = async (task: Task<never>): Promise<void> => {
    ran.push(task.payload);
    await closed.opened;
  };
  return {
    ran,
    run,
    open: () => {
      closed.open();
    },
  };
}
const skip = (queue: QueueService, payload: unknown, options: object = {}): Promise<UniquePublish> =>
  queue.publishUnique('tasks', payload, { ...KEY, ...options });

describe('a key', () => {
  it('is taken while its task waits, runs or is delayed, and free when it is done', async () => {
    const { ran, run, open } = held();
    const { queue } = await bed.start({ handlers: { tasks: run } });
    const first = await skip(queue, 1, { delayMs: 50 });
    expect(first).toEqual({ id: expect.any(String), outcome: 'published' });
    const skipped = { id: first.id, outcome: 'skipped' };
    expect(await skip(queue, 2)).toEqual(skipped);
    expect(await queue.publishUnique('tasks', 'other', { key: 'other' })).toMatchObject({ outcome: 'published' });
    await until(() => ran.includes(1), { what: 'it runs' });
    expect(await skip(queue, 3)).toEqual(skipped);
    await queue.pause('tasks');
    open();
    await until(async () => (await queue.counts('tasks')).running === 0, { what: 'it is done' });
    const second = await skip(queue, 4);
    expect(second.outcome).toBe('published');
    expect(await skip(queue, 5)).toEqual({ id: second.id, outcome: 'skipped' });
    await queue.resume('tasks');
    await bed.untilSettled();
    expect(ran).toEqual(expect.arrayContaining([1, 4]));
    expect(ran).toHaveLength(3);
  });

  it('is taken while its task waits for a retry, and a dead letter frees it', async () => {
    const { queue } = await bed.start({
      handlers: {
        tasks: ({ attempt }) => {
          if (attempt < 4) throw new Error('no');
        },
      },
      queue: { backoff: [0, 60_000] },
    });
    const first = await skip(queue, 1, { maxAttempts: 3 });
    await until(async () => (await queue.counts('tasks')).delayed === 1, { what: 'it waits for its last run' });
    expect(await skip(queue, 2)).toEqual({ id: first.id, outcome: 'skipped' });
    expect(await queue.inspect('tasks', KEY)).toMatchObject({ id: first.id, state: 'delayed', attempt: 3 });
    expect(await queue.remove('tasks', KEY)).toBe(true);
    const second = await skip(queue, 3, { maxAttempts: 1 });
    await until(async () => (await queue.counts('tasks')).dead === 1, { what: 'it is dead' });
    expect(await queue.inspect('tasks', KEY)).toMatchObject({ id: second.id, state: 'dead' });
    expect(await skip(queue, 4, { delayMs: 60_000 })).toMatchObject({ outcome: 'published' });
  });

  it('is not held by a task that nobody can find', async () => {
    const { queue } = await bed.start({});
    const lost = await skip(queue, 1);
    await bed.admin.xtrim('tasks', 'MAXLEN', 0);
    const second = await skip(queue, 2);
    expect(second.outcome).toBe('published');
    expect(second.id).not.toBe(lost.id);
    const later = await skip(queue, 3, { key: 'later', delayMs: 60_000 });
    await bed.admin.del('{tasks}:~delayed', '{tasks}:~bodies');
    expect((await skip(queue, 4, { key: 'later' })).id).not.toBe(later.id);
  });

  it('is taken until every group is done with its task', async () => {
    const { ran, run, open } = held();
    const fast: unknown[] = [];
    const of = (group: string, handler: (task: Task<never>) => unknown): unknown =>
      bed.start({ handlers: { tasks: { run: handler, options: { group } } }, queue: { leaseMs: 300 } });
    await of('slow', run);
    await of('fast', ({ payload, attempt }) => {
      fast.push(payload);
      if (payload === 2 && attempt === 1) throw new Error('again');
    });
    const { queue } = await bed.start({});
    const first = await skip(queue, 1);
    await until(() => ran.length === 1 && fast.length === 1, { what: 'both have it' });
    expect(await skip(queue, 9)).toEqual({ id: first.id, outcome: 'skipped' });
    open();
    await until(async () => (await skip(queue, 2)).outcome === 'published', { what: 'the key is free' });
    await until(() => ran.length === 2 && fast.length === 3, { what: 'both are done, one after a retry' });
    await until(async () => (await skip(queue, 3)).outcome === 'published', { what: 'the key is free again' });
  });

  it('is free once every group has acknowledged its task, though the entry is still there', async () => {
    const { queue } = await bed.start({});
    const { id } = await skip(queue, 1);
    for (const group of ['a', 'b']) {
      await bed.admin.xgroup('CREATE', 'tasks', group, '0');
      expect(await skip(queue, 2)).toEqual({ id, outcome: 'skipped' });
      await bed.admin.xreadgroup('GROUP', group, 'other', 'STREAMS', 'tasks', '>');
      expect(await skip(queue, 3)).toEqual({ id, outcome: 'skipped' });
      await bed.admin.xack('tasks', group, id);
    }
    expect(await bed.admin.xlen('tasks')).toBe(1);
    expect(await skip(queue, 4)).toMatchObject({ outcome: 'published' });
  });

  it('is held by a retry that only one of several groups has to do', async () => {
    const of = (group: string, handler: () => unknown): unknown =>
      bed.start({
        handlers: { tasks: { run: handler, options: { group, backoff: 60_000 } } },
        queue: { leaseMs: 300 },
      });
    await of('good', () => {});
    await of('bad', () => {
      throw new Error('no');
    });
    const { queue } = await bed.start({});
    const first = await skip(queue, 1);
    await until(async () => (await queue.counts('tasks', { group: 'bad' })).delayed === 1, {
      what: 'one group retries',
    });
    await until(async () => (await bed.admin.xlen('tasks')) === 0, { what: 'the entry is gone' });
    expect(await skip(queue, 2)).toEqual({ id: first.id, outcome: 'skipped' });
  });

  it('can be taken for a time, whatever becomes of the task', async () => {
    const ran: unknown[] = [];
    const { queue } = await bed.start({ handlers: { tasks: (task) => void ran.push(task.payload) } });
    const first = await skip(queue, 1, { windowMs: 60_000 });
    await bed.untilSettled();
    expect(await skip(queue, 2, { windowMs: 60_000 })).toEqual({ id: first.id, outcome: 'skipped' });
    const short = await skip(queue, 3, { key: 'short', windowMs: 20 });
    await until(async () => (await skip(queue, 4, { key: 'short' })).id !== short.id, { what: 'the window is over' });
    await until(() => ran.length === 3, { what: 'all ran' });
  });

  it('leaves nothing behind when its task is done', async () => {
    const { queue } = await bed.start({ handlers: { tasks: () => {} } });
    await skip(queue, 1);
    await queue.publishUnique('tasks', 2, { key: 'd', mode: 'debounce', windowMs: 5 });
    await bed.untilSettled();
    await until(async () => (await bed.admin.keys('*:~key:*')).length === 0, { what: 'no record is left' });
    // The answers stay for ten minutes.
    expect(await bed.admin.pttl((await bed.admin.keys('*:~nonce:*'))[0]!)).toBeGreaterThan(0);
  });

  it('can be repeated with its nonce: nothing is published twice, even if the task is done', async () => {
    const ran: unknown[] = [];
    const { queue } = await bed.start({ handlers: { tasks: (task) => void ran.push(task.payload) } });
    const first = await skip(queue, 1, { nonce: 'n' });
    await bed.untilSettled();
    expect(await skip(queue, 1, { nonce: 'n' })).toEqual(first);
    const item = await queue.collect(Lists, 1, { key: 'list', waitMs: 60_000, nonce: 'i' });
    expect(await queue.collect(Lists, 1, { key: 'list', waitMs: 60_000, nonce: 'i' })).toEqual(item);
    expect(await queue.inspect('tasks', { key: 'list' })).toMatchObject({ payload: [1] });
    expect(ran).toEqual([1]);
  });

  it('is no repeat with another key: both are published', async () => {
    const { queue } = await bed.start({});
    const first = await skip(queue, 1, { key: 'a', nonce: 'request-7' });
    const second = await skip(queue, 2, { key: 'b', nonce: 'request-7' });
    expect([first.outcome, second.outcome]).toEqual(['published', 'published']);
    expect(await queue.inspect('tasks', { key: 'b' })).toMatchObject({ id: second.id, payload: 2 });
    expect(await bed.admin.xlen('tasks')).toBe(2);
  });

  it('of another type is refused, and nothing is published', async () => {
    const { queue } = await bed.start({});
    const refused = { code: 'SLUICE_REDIS_REFUSED' };
    await bed.admin.set(record, 'x');
    await expect(skip(queue, 1)).rejects.toMatchObject(refused);
    await bed.admin.set('{tasks}:~bodies', 'x');
    await expect(skip(queue, 1, { key: 'other', delayMs: 60_000 })).rejects.toMatchObject(refused);
    expect(await bed.admin.exists('tasks', '{tasks}:~delayed')).toBe(0);
  });
});

describe('debounce', () => {
  const debounce = (queue: QueueService, payload: unknown, options: object = {}): Promise<UniquePublish> =>
    queue.publishUnique('tasks', payload, { ...KEY, mode: 'debounce', windowMs: 60_000, ...options });

  it('puts the task off, with the last payload and options', async () => {
    const { queue } = await bed.start({});
    const first = await debounce(queue, 1);
    const dueAt = async (): Promise<number> => (await queue.inspect('tasks', KEY))!.dueAt!.getTime();
    const due = await dueAt();
    expect(await debounce(queue, 2, { windowMs: 120_000, maxAttempts: 7 })).toEqual({
      id: first.id,
      outcome: 'postponed',
    });
    expect(await queue.inspect('tasks', first.id)).toMatchObject({ payload: 2, state: 'delayed' });
    expect(await dueAt()).toBeGreaterThan(due + 50_000);
    expect(await queue.counts('tasks')).toMatchObject({ delayed: 1, waiting: 0 });
  });

  it('puts it off for a limited time', async () => {
    const ran: unknown[] = [];
    const { queue } = await bed.start({ handlers: { tasks: (task) => void ran.push(task.payload) } });
    let last = 0;
    await until(
      async () => {
        await debounce(queue, ++last, { windowMs: 10_000, maxWaitMs: 150 });
        return ran.length > 0;
      },
      { what: 'it runs, though it is published all the time', everyMs: 5 },
    );
    expect(ran[0]).toBeGreaterThan(1);
  });

  it('publishes a new task once the earlier one has begun', async () => {
    const { ran, run, open } = held();
    const { queue } = await bed.start({ handlers: { tasks: run } });
    const first = await debounce(queue, 1, { windowMs: 5 });
    await until(() => ran.length === 1, { what: 'it runs' });
    const second = await debounce(queue, 2, { windowMs: 5 });
    expect(second).toEqual({ id: expect.not.stringContaining(first.id), outcome: 'published' });
    await until(() => ran.length === 2, { what: 'the second runs' });
    open();
    await bed.untilSettled();
  });

  it('leaves a task alone that waits for its next attempt', async () => {
    const { queue } = await bed.start({
      handlers: {
        tasks: () => {
          throw new Error('no');
        },
      },
      queue: { backoff: 60_000 },
    });
    const first = await debounce(queue, 1, { windowMs: 5 });
    await until(async () => (await queue.inspect('tasks', first.id))?.attempt === 2, {
      what: 'it waits for its retry',
    });
    expect((await debounce(queue, 2)).outcome).toBe('published');
    expect(await queue.inspect('tasks', first.id)).toMatchObject({ payload: 1, attempt: 2 });
  });
});

describe('collect', () => {
  const collect = (queue: QueueService, item: number, options: object = {}): Promise<UniquePublish> =>
    queue.collect(Lists, item, { ...KEY, waitMs: 60_000, ...options });

  it('makes one task of all items, in order', async () => {
    const ran: unknown[] = [];
    const { queue } = await bed.start({ handlers: { tasks: (task) => void ran.push(task.payload) } });
    const outcomes = [];
    for (const item of [1, 2, 3]) outcomes.push(await collect(queue, item, { max: 4 }));
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['published', 'collected', 'collected']);
    expect(new Set(outcomes.map(({ id }) => id)).size).toBe(1);
    // The last one that there is room for lets it run at once.
    await collect(queue, 4, { max: 4 });
    await until(() => ran.length === 1, { what: 'it ran' });
    expect(ran).toEqual([[1, 2, 3, 4]]);
    expect(await collect(queue, 5, { waitMs: 5 })).toMatchObject({ outcome: 'published' });
    await until(() => ran.length === 2, { what: 'the next one ran' });
    expect(ran[1]).toEqual([5]);
    expect(await collect(queue, 6, { max: 1 })).toMatchObject({ outcome: 'published' });
    await until(() => ran.length === 3, { what: 'one item is enough' });
  });

  it('begins a new task where the payload would be too large', async () => {
    const { queue } = await bed.start({ queue: { maxPayloadBytes: 10 } });
    const ids: string[] = [];
    for (const item of [111, 222, 333]) ids.push((await collect(queue, item)).id);
    expect(ids[0]).toBe(ids[1]);
    expect(ids[2]).not.toBe(ids[0]);
    expect((await queue.list('tasks', { state: 'delayed' })).tasks.map(({ payload }) => payload)).toEqual([
      [111, 222],
      [333],
    ]);
  });

  it('begins a new task where the other one has as many items as this call takes', async () => {
    const { queue } = await bed.start({});
    const ids: string[] = [];
    for (const max of [10, 10, 2]) ids.push((await collect(queue, max, { max })).id);
    expect(ids[1]).toBe(ids[0]);
    expect(ids[2]).not.toBe(ids[0]);
  });

  it('takes any JSON, and no task of another form', async () => {
    const { queue } = await bed.start({});
    for (const item of [null, 'ü"\\', { a: [1] }]) await queue.collect('tasks', item, { ...KEY, waitMs: 60_000 });
    expect(await queue.inspect('tasks', KEY)).toMatchObject({ payload: [null, 'ü"\\', { a: [1] }] });
    await queue.publishUnique('tasks', { no: 'list' }, { key: 'x', mode: 'debounce', windowMs: 60_000 });
    expect(await queue.collect('tasks', 1, { key: 'x', waitMs: 60_000 })).toMatchObject({ outcome: 'published' });
  });
});

it('options that are none are refused', async () => {
  const { queue } = await bed.start({});
  const bad = { code: 'SLUICE_BAD_OPTION' };
  const given = [
    {},
    { key: '' },
    { key: 7 },
    { ...KEY, mode: 'replaces' },
    { ...KEY, mode: 'debounce' },
    { ...KEY, mode: 'debounce', windowMs: 5, delayMs: 5 },
    { ...KEY, maxWaitMs: 5 },
    { ...KEY, windowMs: 7 * 24 * 3_600_000 + 1 },
    { ...KEY, nonce: '' },
    { ...KEY, delayMs: -1 },
    { ...KEY, wait: 1 },
    undefined,
  ];
  for (const options of given) {
    await expect(queue.publishUnique('tasks', 1, options as never)).rejects.toMatchObject(bad);
  }
  for (const options of [
    { ...KEY },
    { ...KEY, waitMs: 0 },
    { ...KEY, waitMs: 5, max: 0 },
    { ...KEY, waitMs: 5, delayMs: 1 },
  ]) {
    await expect(queue.collect('tasks', 1, options as never)).rejects.toMatchObject(bad);
  }
  await expect(queue.inspect('tasks', { key: '' })).rejects.toMatchObject(bad);
  expect(await queue.inspect('tasks', { key: 'none' })).toBeUndefined();
  expect(await queue.remove('tasks', { key: 'none' })).toBe(false);
  expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, delayed: 0 });
});
