import { describe, expect, it } from '@jest/globals';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { gate } from '../../../test/support/gate.js';
import type { TestHandler } from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { QUEUE_CHANNELS, SnoozeTask, TaskCancelledError, type Task } from '../index.js';
import { RELEASED } from '../store/queue.keys.js';

const bed = new QueueBed();

/** Runs that last until their signal aborts, or `open` is called. */
function aborted(then: (task: Task<never>) => unknown = () => {}): {
  run: TestHandler;
  begun: Task[];
  open: () => void;
} {
  const { opened, open } = gate();
  const begun: Task[] = [];
  const run = async (task: Task<never>): Promise<unknown> => {
    begun.push(task);
    await Promise.race([
      opened,
      new Promise((resolve) => {
        task.signal.addEventListener('abort', resolve);
      }),
    ]);
    return then(task);
  };
  return { run: { run, options: { concurrency: 2 } }, begun, open };
}
const rethrow = ({ signal }: Task): void => {
  signal.throwIfAborted();
};
const marks = (): Promise<number> => bed.admin.exists('{tasks}:~cancelled');

describe('cancel', () => {
  it('removes what waits, is delayed or was returned, by id or by key', async () => {
    const { queue } = await bed.start({ queue: { consumers: false } });
    const [waiting = '', returned = ''] = await queue.publishMany('tasks', [1, 2]);
    const later = await queue.publish('tasks', 3, { delayMs: 60_000 });
    await queue.publishUnique('tasks', 4, { key: 'report' });
    expect(await queue.cancel('tasks', waiting)).toBe('removed');
    await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0');
    await bed.admin.xreadgroup('GROUP', 'sluice', RELEASED, 'COUNT', 1, 'STREAMS', 'tasks', '>');
    expect(await queue.cancel('tasks', returned)).toBe('removed');
    expect(await queue.cancel('tasks', later)).toBe('removed');
    expect(await queue.cancel('tasks', { key: 'report' })).toBe('removed');
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, running: 0, delayed: 0, dead: 0 });
    for (const gone of [waiting, later, 'no such id', { key: 'report' }, { key: 'other' }]) {
      expect(await queue.cancel('tasks', gone)).toBe('not-found');
    }
    expect(await marks()).toBe(0);
  });

  it('aborts a run in another process at once; what it throws then is no failure', async () => {
    const told: unknown[] = [];
    const tell = (message: unknown): void => void told.push(message);
    subscribe(QUEUE_CHANNELS.cancelled, tell);
    const { run, begun } = aborted(rethrow);
    const worker = await bed.start({ handlers: { tasks: run }, queue: { leaseMs: 600_000 } });
    const { queue } = await bed.start({ queue: { consumers: false } });
    const id = await queue.publish('tasks', 1);
    await until(() => begun.length === 1, { what: 'it runs' });
    expect(await queue.cancel('tasks', id)).toBe('aborting');
    await bed.untilSettled();
    await until(() => told.length === 1, { what: 'it is told' });
    unsubscribe(QUEUE_CHANNELS.cancelled, tell);
    expect(begun[0]!.signal.reason).toBeInstanceOf(TaskCancelledError);
    expect(begun[0]!.signal.reason).toMatchObject({ code: 'SLUICE_TASK_CANCELLED', taskId: id });
    expect(told).toEqual([{ queue: 'tasks', group: 'sluice', id }]);
    expect(begun).toHaveLength(1);
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, running: 0, delayed: 0, dead: 0 });
    expect(await queue.cancel('tasks', id)).toBe('not-found');
    expect(await marks()).toBe(0);
    expect(worker.queue.stats().cancelled).toBe(1);
  });

  it.each<[string, (task: Task) => unknown]>([
    ['another error', () => Promise.reject(new Error('no'))],
    ['a snooze', () => Promise.reject(new SnoozeTask({ delayMs: 1 }))],
    ['a dead letter', (task) => task.deadLetter('no')],
  ])('drops a cancelled task that throws %s, on its last attempt as well', async (_, then) => {
    const { run, begun } = aborted(then);
    const { queue } = await bed.start({ handlers: { tasks: run } });
    const ids = [await queue.publish('tasks', 1), await queue.publish('tasks', 2, { maxAttempts: 1 })];
    await until(() => begun.length === 2, { what: 'both run' });
    for (const id of ids) expect(await queue.cancel('tasks', id)).toBe('aborting');
    await bed.untilSettled();
    expect(await queue.counts('tasks')).toMatchObject({ waiting: 0, running: 0, delayed: 0, dead: 0 });
    expect(begun).toHaveLength(2);
    expect(queue.stats().cancelled).toBe(2);
  });

  it('completes a task that succeeds all the same, and forgets that it was cancelled', async () => {
    const { run, begun } = aborted();
    const { queue } = await bed.start({ handlers: { tasks: run }, queue: { leaseMs: 300 } });
    const id = await queue.publish('tasks', 1);
    await until(() => begun.length === 1, { what: 'it runs' });
    expect(await queue.cancel('tasks', id)).toBe('aborting');
    await bed.untilSettled();
    await until(async () => (await marks()) === 0, { what: 'the mark is deleted' });
    expect(queue.stats().cancelled).toBe(0);
  });

  it('drops a task that fails before its process has heard of it', async () => {
    const { run, begun, open } = aborted(() => Promise.reject(new Error('no')));
    const worker = await bed.start({ handlers: { tasks: run }, queue: { leaseMs: 600_000 } });
    const { queue } = await bed.start({ queue: { consumers: false } });
    const id = await queue.publish('tasks', 1);
    await until(() => begun.length === 1, { what: 'it runs' });
    // The mark of a cancel whose message is lost.
    await bed.admin.zadd('{tasks}:~cancelled', Date.now(), `${id} sluice`);
    open();
    await until(() => worker.queue.stats().cancelled === 1, { what: 'it is dropped' });
    await bed.untilSettled();
    expect(begun[0]!.signal.aborted).toBe(false);
    expect(await marks()).toBe(0);
  });

  it('reaches a process that gets no message, with the next renewal', async () => {
    await bed.admin.call('ACL', 'SETUSER', 'silent', 'on', '>secret', '~*', '+@all', 'resetchannels');
    const { run, begun } = aborted(rethrow);
    const worker = await bed.start({ handlers: { tasks: run }, queue: { leaseMs: 300 } }, 'silent');
    const id = await worker.queue.publish('tasks', 1);
    await until(() => begun.length === 1, { what: 'it runs' });
    expect(await worker.queue.cancel('tasks', id)).toBe('aborting');
    await until(() => worker.queue.stats().cancelled === 1, { what: 'it is dropped' });
  });

  it('drops a prefetched task, and leaves its neighbours', async () => {
    const ran: number[] = [];
    const { opened, open } = gate();
    const { queue } = await bed.start({
      handlers: {
        tasks: {
          run: async ({ payload }: Task<number>) => {
            // The order of tasks is not promised.
            if (ran.push(payload) === 501) await opened;
          },
          options: { concurrency: 1 },
        },
      },
      queue: { leaseMs: 600_000 },
    });
    const ids = await queue.publishMany('tasks', [...new Array(600).keys()]);
    await until(() => ran.length === 501, { what: 'one holds up the others' });
    const prefetched = (await queue.list('tasks', { state: 'running' })).tasks.map(({ id }) => id);
    const last = prefetched.at(-1)!;
    expect(last).not.toBe(ids[ran[500]!]);
    expect(await queue.cancel('tasks', last)).toBe('aborting');
    await until(() => queue.stats().cancelled === 1, { what: 'it is dropped' });
    open();
    await bed.untilSettled();
    expect(ran).toHaveLength(599);
    expect(ran).not.toContain(ids.indexOf(last));
  });

  it('is not run again when its process has died, nor when a stopping process returned it', async () => {
    const runs: string[] = [];
    const first = await bed.start({ queue: { consumers: false } });
    const ids = await first.queue.publishMany('tasks', [1, 2, 3, 4]);
    await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0');
    const dead = 'sluice:host:1:0:dead';
    await bed.admin.xreadgroup('GROUP', 'sluice', dead, 'COUNT', 3, 'STREAMS', 'tasks', '>');
    expect(await first.queue.cancel('tasks', ids[1]!)).toBe('aborting');
    expect(await first.queue.cancel('tasks', ids[2]!)).toBe('aborting');
    await bed.admin.xclaim('tasks', 'sluice', RELEASED, 0, ids[2]!);
    const worker = await bed.start({
      handlers: { tasks: ({ id }: Task) => void runs.push(id) },
      queue: { leaseMs: 300 },
    });
    await bed.untilSettled();
    expect([...runs].sort()).toEqual([ids[0], ids[3]]);
    expect(worker.queue.stats().cancelled).toBe(2);
    await until(async () => (await marks()) === 0, { what: 'the marks are deleted' });
  });

  it('is for one group: the other one runs it to its end', async () => {
    const a = aborted(rethrow);
    const b = aborted(rethrow);
    const of = (group: string, { run }: { run: TestHandler }): TestHandler => ({
      ...(run as { run: (task: Task<never>) => unknown }),
      options: { group },
    });
    const { queue } = await bed.start({ handlers: { tasks: of('a', a) }, queue: { leaseMs: 300 } });
    await bed.start({ handlers: { tasks: of('b', b) }, queue: { leaseMs: 300 } });
    const id = await queue.publish('tasks', 1);
    await until(() => a.begun.length === 1 && b.begun.length === 1, { what: 'both run it' });
    expect(await queue.cancel('tasks', id, { group: 'a' })).toBe('aborting');
    await until(() => queue.stats().cancelled === 1, { what: 'a has dropped it' });
    expect(b.begun[0]!.signal.aborted).toBe(false);
    expect(await queue.cancel('tasks', id, { group: 'a' })).toBe('not-found');
    expect(await queue.inspect('tasks', id, { group: 'b' })).toMatchObject({ state: 'running' });
    b.open();
    await until(async () => (await bed.admin.xlen('tasks')) === 0, { what: 'b has done it' });
  });

  it('aborts in one group what another group has, once the first begins it', async () => {
    const a = aborted(rethrow);
    const { queue } = await bed.start({ queue: { consumers: false } });
    await bed.admin.xgroup('CREATE', 'tasks', 'a', '0', 'MKSTREAM');
    await bed.admin.xgroup('CREATE', 'tasks', 'b', '0');
    const id = await queue.publish('tasks', 1);
    await bed.admin.xreadgroup('GROUP', 'b', 'foreign', 'COUNT', 1, 'STREAMS', 'tasks', '>');
    expect(await queue.cancel('tasks', id, { group: 'a' })).toBe('aborting');
    const worker = await bed.start({
      handlers: { tasks: { ...(a.run as { run: never }), options: { group: 'a' } } },
      queue: { leaseMs: 300 },
    });
    await until(() => worker.queue.stats().cancelled === 1, { what: 'it is dropped' });
    expect((await bed.admin.xpending('tasks', 'b'))[0]).toBe(1);
  });

  it("aborts a retry in a group's own stream", async () => {
    const begun: Task[] = [];
    const run = async (task: Task<never>): Promise<void> => {
      begun.push(task);
      if (task.attempt === 1) throw new Error('no');
      await new Promise((resolve) => {
        task.signal.addEventListener('abort', resolve);
      });
      rethrow(task);
    };
    await bed.admin.xgroup('CREATE', 'tasks', 'other', '0', 'MKSTREAM');
    const { queue } = await bed.start({ handlers: { tasks: run }, queue: { leaseMs: 600_000 } });
    const id = await queue.publish('tasks', 1);
    await until(() => begun.length === 2, { what: 'it runs again' });
    expect(await queue.cancel('tasks', id)).toBe('aborting');
    await until(() => queue.stats().cancelled === 1, { what: 'it is dropped' });
    expect(await queue.inspect('tasks', id)).toBeUndefined();
    expect(await bed.admin.exists('{tasks}:~cancelled:sluice')).toBe(0);
  });

  it('works while the queue is paused, and leaves newer data alone', async () => {
    const { run, begun } = aborted(rethrow);
    const { queue } = await bed.start({ handlers: { tasks: run } });
    const id = await queue.publish('tasks', 1);
    await until(() => begun.length === 1, { what: 'it runs' });
    await queue.pause('tasks');
    await bed.admin.hset('{tasks}:~uses', 'lanes', '9.0.0 0');
    await expect(queue.cancel('tasks', id)).rejects.toMatchObject({ code: 'SLUICE_NEWER_DATA' });
    await bed.admin.del('{tasks}:~uses');
    expect(await queue.cancel('tasks', id)).toBe('aborting');
    await until(() => queue.stats().cancelled === 1, { what: 'it is dropped' });
    await expect(queue.cancel('tasks', 7 as unknown as string)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  });

  it('stops no task beside a key of another type', async () => {
    const { queue } = await bed.start({
      handlers: { tasks: { run: () => Promise.reject(new Error('no')), options: { maxAttempts: 2 } } },
      queue: { leaseMs: 300 },
    });
    await bed.admin.set('{tasks}:~cancelled', 'x');
    const id = await queue.publish('tasks', 1);
    await until(async () => (await queue.counts('tasks')).dead === 1, { what: 'it is a dead letter' });
    expect(await queue.cancel('tasks', id)).toBe('not-found');
  });
});
