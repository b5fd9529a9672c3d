import { describe, expect, it } from '@jest/globals';
import { gate } from '../../../test/support/gate.js';
import type { QueueApp, TestHandler } from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { defineQueue, payload, type PauseOptions, type Task } from '../index.js';
import { consumerName } from '../store/queue.keys.js';

const bed = new QueueBed();
const start = (tasks: TestHandler, leaseMs = 5_000): Promise<QueueApp> =>
  bed.start({ handlers: { tasks }, queue: { leaseMs } });

/** A handler whose runs last until `open` is called. */
function held(): { handler: TestHandler; runs: unknown[]; open: () => void } {
  const { opened, open } = gate();
  const runs: unknown[] = [];
  const run = async (task: Task<number>): Promise<void> => {
    runs.push(task.payload);
    await opened;
  };
  return { handler: { run, options: { concurrency: 1 } }, runs, open };
}

describe('pause({ wait: true })', () => {
  it('resolves when nothing runs in any process', async () => {
    const { handler, runs, open } = held();
    await Promise.all([start(handler), start(handler)]);
    const { queue } = await bed.start({ queue: { consumers: false } });
    await queue.publishMany('tasks', [1, 2, 3]);
    await until(() => runs.length === 2, { what: 'both run one' });
    let done = false;
    const pausing = queue.pause('tasks', { wait: true }).then((result) => {
      done = true;
      return result;
    });
    await until(async () => (await queue.counts('tasks')).paused, { what: 'it is paused' });
    await until(async () => (await queue.counts('tasks')).running === 2, { what: 'the rest is returned' });
    expect(done).toBe(false);
    open();
    expect(await pausing).toEqual({ changed: true, unconfirmed: [] });
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 1, running: 0, paused: true });
    expect(runs).toHaveLength(2);
  });

  it('ends after timeoutMs, by the signal, or when the queue is resumed: the queue stays as it is', async () => {
    const { handler, runs, open } = held();
    const { queue } = await start(handler);
    await queue.publish('tasks', 1);
    await until(() => runs.length === 1, { what: 'it runs' });
    await expect(queue.pause('tasks', { wait: true, timeoutMs: 50 })).rejects.toMatchObject({
      code: 'SLUICE_QUEUE_BUSY',
      message: expect.stringContaining('after 50 ms'),
    });
    expect((await queue.counts('tasks')).paused).toBe(true);

    const reason = new Error('enough');
    const stopped = new AbortController();
    const waiting = queue.pause('tasks', { wait: true, signal: stopped.signal });
    stopped.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(queue.pause('tasks', { wait: true, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);

    const again = queue.pause('tasks', { wait: true });
    again.catch(() => {});
    await until(async () => (await queue.counts('tasks')).paused, { what: 'it is paused' });
    await queue.resume('tasks');
    await expect(again).rejects.toMatchObject({
      code: 'SLUICE_QUEUE_BUSY',
      message: expect.stringContaining('resumed'),
    });
    open();
  });

  it('does not wait for a process that is dead, but for one that lives, and for other software', async () => {
    const { queue } = await bed.start({ queue: { consumers: false, leaseMs: 300 } });
    await queue.publishMany('tasks', [1, 2]);
    await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0');
    const dead = consumerName('host:1:0:dead');
    await bed.admin.xreadgroup('GROUP', 'sluice', dead, 'COUNT', 1, 'STREAMS', 'tasks', '>');
    expect(await queue.pause('tasks', { wait: true })).toEqual({ changed: true, unconfirmed: [] });
    await bed.admin.zadd('{tasks}:~alive', Date.now() + 3_600_000, dead);
    await expect(queue.pause('tasks', { wait: true, timeoutMs: 2_000 })).rejects.toMatchObject({
      code: 'SLUICE_QUEUE_BUSY',
    });
    await bed.admin.del('{tasks}:~alive');
    await bed.admin.xreadgroup('GROUP', 'sluice', 'foreign', 'COUNT', 1, 'STREAMS', 'tasks', '>');
    await expect(queue.pause('tasks', { wait: true, timeoutMs: 500 })).rejects.toMatchObject({
      code: 'SLUICE_QUEUE_BUSY',
    });
  });

  it("waits for a group's own retries", async () => {
    const { queue } = await bed.start({ queue: { consumers: false } });
    await bed.admin.xgroup('CREATE', 'tasks', 'a', '0', 'MKSTREAM');
    await bed.admin.xgroup('CREATE', '{tasks}:~retry:a', 'a', '0', 'MKSTREAM');
    await bed.admin.xadd('{tasks}:~retry:a', '*', 'payload', '1');
    await bed.admin.xreadgroup('GROUP', 'a', 'foreign', 'COUNT', 1, 'STREAMS', '{tasks}:~retry:a', '>');
    await expect(queue.pause('tasks', { wait: true, timeoutMs: 500 })).rejects.toMatchObject({
      code: 'SLUICE_QUEUE_BUSY',
    });
  });

  it('waits for all names of a queue of named tasks', async () => {
    const Files = defineQueue('files', { tasks: { import: payload<number>(), export: payload<number>() } });
    const { handler, runs, open } = held();
    const { queue } = await bed.start({ handlers: { '{files}.import': handler, '{files}.export': () => {} } });
    await queue.publish(Files.tasks.import, 1);
    await until(() => runs.length === 1, { what: 'it runs' });
    await expect(queue.pause(Files, { wait: true, timeoutMs: 50 })).rejects.toMatchObject({
      code: 'SLUICE_QUEUE_BUSY',
    });
    open();
    expect(await queue.pause(Files, { wait: true })).toEqual({ changed: false, unconfirmed: [] });
  });

  it('refuses options without effect', async () => {
    const { queue } = await bed.start({ queue: { consumers: false } });
    const bad: unknown[] = [
      { timeoutMs: 5 },
      { signal: AbortSignal.abort() },
      { wait: 1 },
      { wait: true, timeoutMs: 0 },
    ];
    for (const options of [...bad, { wait: true, signal: {} }, { now: true }]) {
      await expect(queue.pause('tasks', options as PauseOptions)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    }
    await expect(queue.resume('tasks', { here: 1 } as never)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    expect((await queue.counts('tasks')).paused).toBe(false);
  });
});

describe('pause({ here: true })', () => {
  it('stops this process alone: another one runs its tasks, and resume lets it go on', async () => {
    const runs: string[] = [];
    const one = await start(() => void runs.push('one'));
    expect(await one.queue.pause('tasks', { here: true })).toEqual({ changed: true, unconfirmed: [] });
    expect(await one.queue.pause('tasks', { here: true })).toEqual({ changed: false, unconfirmed: [] });
    await one.queue.publish('tasks', 1);
    expect((await one.queue.counts('tasks')).paused).toBe(false);
    const two = await start(() => void runs.push('two'));
    await two.queue.publishMany('tasks', [2, 3]);
    await bed.untilSettled();
    expect(runs).toEqual(['two', 'two', 'two']);
    await two.app.close();
    await one.queue.publish('tasks', 4);
    expect(await one.queue.resume('tasks', { here: true })).toBe(true);
    expect(await one.queue.resume('tasks', { here: true })).toBe(false);
    await bed.untilSettled();
    expect(runs).toHaveLength(4);
  });

  it('returns what did not start, and waits for what runs', async () => {
    const { handler, runs, open } = held();
    const one = await start(handler);
    await one.queue.publishMany('tasks', [1, 2]);
    await until(() => runs.length === 1, { what: 'one runs' });
    await expect(one.queue.pause('tasks', { here: true, wait: true, timeoutMs: 50 })).rejects.toMatchObject({
      code: 'SLUICE_QUEUE_BUSY',
    });
    await until(async () => (await one.queue.counts('tasks')).running === 1, { what: 'the rest is returned' });
    const waiting = one.queue.pause('tasks', { here: true, wait: true });
    open();
    await waiting;
    expect(await one.queue.counts('tasks')).toMatchObject({ waiting: 1, running: 0 });
    expect(runs).toHaveLength(1);
    await one.queue.resume('tasks', { here: true });
    await bed.untilSettled();
  });

  it('holds beside a pause of the fleet, whichever ends first', async () => {
    const runs: unknown[] = [];
    const { queue } = await start(() => void runs.push(1));
    await queue.pause('tasks', { here: true });
    await queue.pause('tasks');
    await queue.resume('tasks');
    const other = await start(() => {}, 5_000);
    await other.queue.publish('tasks', 1);
    await bed.untilSettled();
    expect(runs).toEqual([]);
    await queue.pause('tasks');
    await queue.resume('tasks', { here: true });
    await queue.publish('tasks', 2);
    const waits = async (): Promise<boolean> => (await queue.counts('tasks')).waiting === 1;
    await until(waits, { what: 'it waits, though a read under way may have got it' });
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 1, paused: true });
    await queue.resume('tasks');
    await bed.untilSettled();
  });

  it('is of all names of a queue of named tasks, and harmless where nothing is handled', async () => {
    const Files = defineQueue('files', { tasks: { import: payload<number>(), export: payload<number>() } });
    const runs: unknown[] = [];
    const run = (): void => void runs.push(1);
    const { queue } = await bed.start({ handlers: { '{files}.import': run, '{files}.export': run } });
    expect(await queue.pause(Files, { here: true, wait: true })).toEqual({ changed: true, unconfirmed: [] });
    await queue.publish(Files.tasks.import, 1);
    await queue.publish(Files.tasks.export, 1);
    expect(await queue.resume(Files.tasks.import, { here: true })).toBe(true);
    await until(() => runs.length === 1, { what: 'one name goes on' });
    expect(await queue.counts(Files)).toMatchObject({ waiting: 1, paused: false });
    expect(await queue.resume(Files, { here: true })).toBe(true);
    await until(() => runs.length === 2, { what: 'the other one too' });
    const idle = await bed.start({ queue: { consumers: false } });
    await idle.queue.pause('tasks', { here: true, wait: true });
  });
});
