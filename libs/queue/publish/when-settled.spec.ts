import { describe, expect, it } from '@jest/globals';
import { commandDelta } from '../../../test/support/command-delta.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { DropTask, RetryTask, defineQueue, payload, type SettledTasks, type Task } from '../index.js';

const bed = new QueueBed();
const Tasks = defineQueue<string>('tasks');
const Settled = defineQueue<SettledTasks<string>>('{tasks}.settled');
const HOUR_MS = 3_600_000;
const TRACE = '00-11111111111111111111111111111111-2222222222222222-01';
const whenAllSettled = { queue: Settled, payload: 'all' };

/** Does what the payload says. */
const run = ({ payload: asked, deliveries }: Task<string>): unknown => {
  if (asked === 'fail') throw new Error('as asked');
  if (asked === 'drop') throw new DropTask();
  if (asked === 'later') throw new RetryTask({ delayMs: HOUR_MS });
  if (asked === 'hang') return new Promise(() => {});
  return deliveries;
};
const handlers = { tasks: { run, options: { maxAttempts: 2 } } };

/** The payloads of what has followed. */
const followed = async (stream = Settled.name): Promise<SettledTasks[]> =>
  (await bed.admin.xrange(stream, '-', '+')).map(([, fields]) => JSON.parse(fields[1]!) as SettledTasks);
const untilFollowed = (): Promise<unknown> =>
  until(async () => (await followed()).length > 0, { what: 'the other task was published' });
const joins = (): Promise<string[]> => bed.admin.keys('*join:*');

describe('whenAllSettled', () => {
  it('publishes one task, with the counts, when the last one has ended', async () => {
    const told: Task<SettledTasks<string>>[] = [];
    const ran: string[] = [];
    const { queue } = await bed.start({
      handlers: {
        tasks: {
          run: (task: Task<string>) => {
            ran.push(task.payload);
            return run(task);
          },
          options: { maxAttempts: 2 },
        },
        [Settled.name]: (task: Task<SettledTasks<string>>) => void told.push(task),
      },
    });
    // They are run in one turn together with tasks that belong to no call.
    await queue.pause(Tasks);
    await queue.publishMany(Tasks, ['x', 'y']);
    const ids = await queue.publishMany(Tasks, ['a', 'b', 'fail', 'drop'], { whenAllSettled });
    await queue.resume(Tasks);
    expect(new Set(ids).size).toBe(4);
    await until(() => told.length === 1, { what: 'it is told' });
    expect(told[0]!.payload).toEqual({ payload: 'all', counts: { total: 4, completed: 3, failed: 1, removed: 0 } });
    await bed.untilSettled();
    expect(ran.sort()).toEqual(['a', 'b', 'drop', 'fail', 'fail', 'x', 'y']);
    expect(told).toHaveLength(1);
    expect(await joins()).toEqual([]);
  });

  it('waits for delayed tasks and for retries', async () => {
    const { queue } = await bed.start({ handlers });
    const [id = ''] = await queue.publishMany(Tasks, ['a', 'later'], { delayMs: 1, whenAllSettled });
    await until(async () => (await queue.counts(Tasks)).delayed === 1, { what: 'one is retried later' });
    await bed.untilSettled();
    expect(await followed()).toEqual([]);
    expect(await queue.inspect(Tasks, id)).toBeUndefined();
    expect(await queue.purge(Tasks, 'delayed')).toBe(1);
    expect(await followed()).toMatchObject([{ counts: { total: 2, completed: 1, failed: 0, removed: 1 } }]);
  });

  it('counts what is removed, purged and cancelled, waiting or delayed', async () => {
    const { queue } = await bed.start({});
    const now = await queue.publishMany(Tasks, ['a', 'b', 'c'], { whenAllSettled });
    await queue.publishMany(Tasks, ['d', 'e'], {
      delayMs: HOUR_MS,
      whenAllSettled: { ...whenAllSettled, payload: '2' },
    });
    await queue.publish(Tasks, 'other');
    expect(await queue.remove(Tasks, now[0]!)).toBe(true);
    expect(await queue.cancel(Tasks, now[1]!)).toBe('removed');
    expect(await followed()).toEqual([]);
    expect(await queue.purge(Tasks, 'waiting')).toBe(2);
    expect(await followed()).toEqual([{ payload: 'all', counts: { total: 3, completed: 0, failed: 0, removed: 3 } }]);
    const { tasks } = await queue.list(Tasks, { state: 'delayed' });
    expect(await queue.remove(Tasks, tasks[0]!.id)).toBe(true);
    expect(await queue.purge(Tasks, 'delayed')).toBe(1);
    expect((await followed())[1]).toEqual({ payload: '2', counts: { total: 2, completed: 0, failed: 0, removed: 2 } });
    expect(await joins()).toEqual([]);
  });

  it('counts a running task that is cancelled as removed, and as completed if it returns all the same', async () => {
    const { queue } = await bed.start({
      handlers: {
        tasks: ({ payload: asked, signal }: Task<string>) =>
          new Promise<void>((resolve, reject) => {
            signal.addEventListener('abort', () => {
              if (asked === 'returns') resolve();
              else reject(new Error('aborted'));
            });
          }),
      },
    });
    const ids = await queue.publishMany(Tasks, ['returns', 'throws'], { whenAllSettled });
    await until(async () => (await queue.counts(Tasks)).running === 2, { what: 'both run' });
    for (const id of ids) expect(await queue.cancel(Tasks, id)).toBe('aborting');
    await untilFollowed();
    expect(await followed()).toMatchObject([{ counts: { total: 2, completed: 1, failed: 0, removed: 1 } }]);
  });

  it('does not wait again for a task that is redriven, and counts it once', async () => {
    let healthy = false;
    const { queue } = await bed.start({
      handlers: {
        tasks: ({ payload: asked }: Task<string>) => {
          if (asked === 'fail' && !healthy) throw new Error('as asked');
        },
      },
    });
    const [first = '', second = ''] = await queue.publishMany(Tasks, ['fail', 'b'], {
      delayMs: HOUR_MS,
      whenAllSettled,
    });
    await queue.runNow(Tasks, first);
    await until(async () => (await queue.counts(Tasks)).dead === 1, { what: 'it is a dead letter' });
    healthy = true;
    expect(await queue.dead(Tasks).redrive()).toBe(1);
    await until(async () => (await queue.inspect(Tasks, first)) === undefined, { what: 'it is done' });
    expect(await followed()).toEqual([]);
    await queue.runNow(Tasks, second);
    await untilFollowed();
    expect(await followed()).toMatchObject([{ counts: { total: 2, completed: 1, failed: 1, removed: 0 } }]);

    healthy = false;
    await queue.publishMany(Tasks, ['fail'], { whenAllSettled });
    await until(async () => (await followed()).length === 2, { what: 'the second one has ended' });
    healthy = true;
    await queue.dead(Tasks).redrive();
    await bed.untilSettled();
    expect(await followed()).toHaveLength(2);
  });

  it('counts a task that kills its processes, and one that was cancelled when its process died', async () => {
    await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0', 'MKSTREAM');
    const publisher = await bed.start({});
    const ids = await publisher.queue.publishMany(Tasks, ['a', 'b'], { whenAllSettled });
    const dead = 'sluice:host:1:0:dead';
    await bed.admin.xreadgroup('GROUP', 'sluice', dead, 'COUNT', 2, 'STREAMS', 'tasks', '>');
    await bed.admin.call('XCLAIM', 'tasks', 'sluice', dead, 0, ids[0]!, 'RETRYCOUNT', 5, 'JUSTID');
    expect(await publisher.queue.cancel(Tasks, ids[1]!)).toBe('aborting');
    await bed.start({ handlers, queue: { leaseMs: 200 } });
    await untilFollowed();
    expect(await followed()).toMatchObject([{ counts: { total: 2, completed: 0, failed: 1, removed: 1 } }]);
  });

  it('counts a payload that is no JSON, and a task whose entry was deleted while it ran', async () => {
    let fail = (_: Error): void => {};
    const { queue } = await bed.start({
      handlers: { tasks: () => new Promise((_, reject) => (fail = reject)) },
    });
    const [id = ''] = await queue.publishMany(Tasks, ['a'], { whenAllSettled });
    await until(async () => (await queue.counts(Tasks)).running === 1, { what: 'it runs' });
    await bed.admin.xdel('tasks', id);
    fail(new Error('too late'));
    await untilFollowed();
    expect(await followed()).toMatchObject([{ counts: { total: 1, completed: 0, failed: 0, removed: 1 } }]);
    await queue.publishMany(Tasks, ['b'], { delayMs: HOUR_MS, whenAllSettled });
    const [join = ''] = (await joins()).map((key) => key.split('join:')[1]!);
    await bed.admin.xadd('tasks', '*', 'payload', '{', 'meta', JSON.stringify({ join: `${join}/0` }));
    await until(async () => (await followed()).length === 2, { what: 'what cannot be read has failed' });
    expect((await followed())[1]).toMatchObject({ counts: { total: 1, failed: 1 } });
  });

  it('publishes at once what follows no tasks', async () => {
    const { queue } = await bed.start({});
    expect(await queue.publishMany(Tasks, [], { whenAllSettled })).toEqual([]);
    expect(await followed()).toEqual([{ payload: 'all', counts: { total: 0, completed: 0, failed: 0, removed: 0 } }]);
  });

  it('counts thousands, which are published in several steps, and those of several calls apart', async () => {
    const { queue } = await bed.start({ handlers: { tasks: { run, options: { maxAttempts: 1, concurrency: 200 } } } });
    const many = Array.from({ length: 2_500 }, (_, n) => (n % 100 === 0 ? 'fail' : 'a'));
    await Promise.all([
      queue.publishMany(Tasks, many, { whenAllSettled }),
      queue.publishMany(Tasks, ['fail'], { whenAllSettled: { ...whenAllSettled, payload: 'one' } }),
    ]);
    await until(async () => (await followed()).length === 2, { what: 'both have ended' });
    const all = await followed();
    expect(all.find(({ payload: of }) => of === 'one')!.counts).toMatchObject({ total: 1, failed: 1 });
    expect(all.find(({ payload: of }) => of === 'all')!.counts).toEqual({
      ...{ total: 2_500, completed: 2_475, failed: 25, removed: 0 },
    });
    expect(await joins()).toEqual([]);
  });

  it('is for named tasks, and sends the context of the call along', async () => {
    const Files = defineQueue('files', {
      tasks: { import: payload<number>(), summary: payload<SettledTasks<{ user: string }>>() },
    });
    const told: unknown[] = [];
    const { queue } = await bed.start({
      handlers: {
        '{files}.import': () => {},
        '{files}.summary': ({ payload: settled, trace }: Task) => void told.push([settled, trace.traceparent]),
      },
      queue: {
        propagation: { inject: (carrier) => void (carrier['traceparent'] = TRACE) },
      },
    });
    await queue.publishMany(Files.tasks.import, [1, 2], {
      whenAllSettled: { queue: Files.tasks.summary, payload: { user: 'ada' } },
    });
    await until(() => told.length === 1, { what: 'it is told' });
    expect(told).toEqual([
      [{ payload: { user: 'ada' }, counts: { total: 2, completed: 2, failed: 0, removed: 0 } }, TRACE],
    ]);
    await queue.publishMany(Files.tasks.import, [3], {
      trace: { traceparent: TRACE.replace('1111', '3333') },
      whenAllSettled: { queue: Files.tasks.summary, payload: { user: 'bob' } },
    });
    await until(() => told.length === 2, { what: 'it is told' });
    expect(told[1]).toMatchObject([{ payload: { user: 'bob' } }, TRACE.replace('1111', '3333')]);
  });

  it('costs nothing without it', async () => {
    const { queue } = await bed.start({ handlers });
    const { calls } = await commandDelta(bed.admin, async () => {
      await queue.publishMany(Tasks, ['a']);
      await bed.untilSettled();
    });
    expect(calls).not.toHaveProperty('hmget');
    expect(calls).not.toHaveProperty('hset');
    expect(calls).toMatchObject({ xadd: 1, xack: 1 });
  });

  it('keeps a join for thirty days after its last task is due', async () => {
    const DAY_MS = 24 * HOUR_MS;
    const { queue } = await bed.start({ handlers });
    const left = async (): Promise<number> => Math.round((await bed.admin.pttl((await joins())[0]!)) / DAY_MS);
    await queue.publishMany(Tasks, ['a', 'later'], { runAt: new Date(Date.now() + 70 * DAY_MS), whenAllSettled });
    expect(await left()).toBe(100);
    const { tasks } = await queue.list(Tasks, { state: 'delayed' });
    await queue.runNow(Tasks, tasks[0]!.id);
    await until(async () => (await bed.admin.hget((await joins())[0]!, 'completed')) === '1', {
      what: 'one has ended',
    });
    expect(await left()).toBe(100);
    await bed.admin.pexpire((await joins())[0]!, 30 * DAY_MS - 10 * HOUR_MS);
    await queue.runNow(Tasks, tasks[1]!.id);
    await until(async () => (await bed.admin.pttl((await joins())[0]!)) > 30 * DAY_MS, { what: 'it is retried' });
  });
});

describe('a second group that comes later', () => {
  it('settles a task that was counted, and changes nothing', async () => {
    const { queue } = await bed.start({ handlers });
    const ids = await queue.publishMany(Tasks, ['a', 'b'], { delayMs: HOUR_MS, whenAllSettled });
    const ran: string[] = [];
    await bed.start({
      handlers: { tasks: { run: (task: Task<never>) => void ran.push(task.id), options: { group: 'second' } } },
    });
    await queue.runNow(Tasks, ids[0]!);
    await until(() => ran.length === 1, { what: 'the second group has run it' });
    await until(async () => (await bed.admin.hget((await joins())[0]!, 'completed')) === '1', {
      what: 'it is counted',
    });
    await until(async () => (await bed.admin.xlen('tasks')) === 0, { what: 'both groups are done with it' });
    expect(await bed.admin.hget((await joins())[0]!, 'completed')).toBe('1');
    await queue.runNow(Tasks, ids[1]!);
    await untilFollowed();
    expect(await followed()).toMatchObject([{ counts: { total: 2, completed: 2 } }]);
  });
});

describe('while the key of the other queue is no stream', () => {
  it('nothing of a join is settled, and all of it is when it is one', async () => {
    const logged: string[] = [];
    const { queue } = await bed.start({ handlers, logged: (_, message) => void logged.push(message) });
    const [, later = ''] = await queue.publishMany(Tasks, ['hang', 'later'], { delayMs: HOUR_MS, whenAllSettled });
    await bed.admin.set(Settled.name, 'x');
    await expect(queue.remove(Tasks, later)).rejects.toThrow('is no stream');
    await expect(queue.purge(Tasks, 'delayed')).rejects.toThrow('is no stream');
    await bed.admin.del(Settled.name);
    expect(await queue.purge(Tasks, 'delayed')).toBe(2);
    await bed.admin.del(Settled.name);
    await queue.pause(Tasks);
    await queue.publishMany(Tasks, ['a'], { whenAllSettled });
    await bed.admin.set(Settled.name, 'x');
    await expect(queue.publishMany(Tasks, ['a'], { whenAllSettled })).rejects.toThrow('is no stream');
    await expect(queue.purge(Tasks, 'waiting')).rejects.toThrow('is no stream');
    await queue.resume(Tasks);
    await until(() => logged.some((message) => message.includes('is no stream')), { what: 'it is reported' });
    expect(await queue.counts(Tasks)).toMatchObject({ running: 1 });
    await bed.admin.del(Settled.name);
    await untilFollowed();
    expect(await followed()).toMatchObject([{ counts: { completed: 1 } }]);
  });
});
