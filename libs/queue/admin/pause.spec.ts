import { describe, expect, it, jest } from '@jest/globals';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setTimeout } from 'node:timers/promises';
import { gate } from '../../../test/support/gate.js';
import type { QueueApp, TestHandler } from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { until } from '../../../test/support/until.js';
import { QUEUE_CHANNELS, type Task } from '../index.js';
import { RELEASED } from '../store/queue.keys.js';

const bed = new QueueBed();
const start = (tasks: TestHandler, leaseMs = 5_000): Promise<QueueApp> =>
  bed.start({ handlers: { tasks }, queue: { leaseMs } });
const blocked = async (): Promise<number> =>
  [...((await bed.admin.client('LIST')) as string).matchAll(/ flags=b .* cmd=xreadgroup /g)].length;

describe('pause', () => {
  it('stops all processes: what runs finishes, what did not start is returned, and resume goes on', async () => {
    const { opened, open } = gate();
    const runs: number[] = [];
    let quick = 0;
    const handler: TestHandler = {
      run: async ({ payload, deliveries }: Task<number>) => {
        if (payload < 0) {
          quick++;
          return;
        }
        runs.push(payload);
        expect(deliveries).toBe(1);
        await opened;
      },
      options: { concurrency: 1 },
    };
    const apps = [await start(handler), await start(handler)];
    const [{ queue }] = apps as [QueueApp];
    // Quick ones first: behind slow ones nothing is taken in advance.
    await queue.publishMany('tasks', [...new Array<number>(1_000).fill(-1), ...new Array(1_200).keys()]);
    await until(() => runs.length === 2, { what: 'each runs one' });
    await until(async () => (await queue.counts('tasks')).running > 2, { what: 'they have some at hand' });
    const started = [...runs];

    expect(await queue.pause('tasks')).toEqual({ changed: true, unconfirmed: [] });
    expect(await queue.pause('tasks')).toEqual({ changed: false, unconfirmed: [] });
    await until(async () => (await queue.counts('tasks')).running === 2, { what: 'the rest is returned' });
    open();
    await until(async () => (await queue.counts('tasks')).running === 0, { what: 'what ran is settled' });
    await queue.publish('tasks', 1_200);
    // On a busy machine a quick one may have been given back before, behind another that took long.
    const waiting = 2_201 - quick - started.length;
    expect(await queue.counts('tasks')).toMatchObject({ waiting, running: 0, paused: true });
    await until(async () => (await blocked()) === 0, { what: 'nobody reads' });
    expect(runs).toEqual(started);

    expect(await queue.resume('tasks')).toBe(true);
    expect(await queue.resume('tasks')).toBe(false);
    await bed.untilSettled();
    expect([...runs].sort((a, b) => a - b)).toEqual([...new Array(1_201).keys()]);
    expect(quick).toBe(1_000);
  });

  it('takes up what was returned without a rest, also where it is more than there is room for', async () => {
    const tasks = 60;
    const { queue } = await bed.start({ handlers: {} });
    await queue.publishMany('tasks', [...new Array(tasks).keys()]);
    await bed.admin.xgroup('CREATE', 'tasks', 'sluice', '0');
    await bed.admin.xreadgroup('GROUP', 'sluice', RELEASED, 'STREAMS', 'tasks', '>');
    const runs: number[] = [];
    const takes20Ms: TestHandler = {
      run: async ({ payload }: Task<number>) => {
        await setTimeout(20);
        runs.push(payload);
      },
      options: { concurrency: 1 },
    };
    await start(takes20Ms);
    // Three at a time, and then nothing until the next sweep, it would take 20 s.
    await until(() => runs.length === tasks, { what: 'all have run' });
    expect(new Set(runs).size).toBe(tasks);
    await bed.untilSettled();
  });

  it('is told at once: long before a lease is renewed by itself', async () => {
    const runs: unknown[] = [];
    const { queue } = await start((task) => void runs.push(task), 600_000);
    await until(async () => (await blocked()) === 1, { what: 'it reads' });
    await queue.pause('tasks');
    await until(async () => (await blocked()) === 0, { what: 'it reads no more' });
    await queue.publish('tasks', 1);
    expect((await queue.counts('tasks')).waiting).toBe(1);
    await queue.resume('tasks');
    await bed.untilSettled();
    expect(runs).toHaveLength(1);
  });

  it('is found out without a message, within a heartbeat', async () => {
    const { queue } = await start(() => {}, 300);
    await until(async () => (await blocked()) === 1, { what: 'it reads' });
    await bed.admin.set('{tasks}:~paused', '1');
    await until(async () => (await blocked()) === 0, { what: 'it reads no more' });
    await queue.publish('tasks', 1);
    await bed.admin.del('{tasks}:~paused');
    await bed.untilSettled();
  });

  it('lasts: a process that starts later does not begin, nor does it take over from the dead', async () => {
    const runs: unknown[] = [];
    const first = await start(() => {});
    await until(async () => (await blocked()) === 1, { what: 'its group is there' });
    await first.queue.pause('tasks');
    await first.app.close();
    await bed.admin.xadd('tasks', '*', 'payload', '1');
    await bed.admin.xreadgroup('GROUP', 'sluice', RELEASED, 'STREAMS', 'tasks', '>');
    let reaped = 0;
    const count = (): void => {
      reaped++;
    };
    subscribe(QUEUE_CHANNELS.reaped, count);
    const { queue } = await start((task) => void runs.push(task), 200);
    await queue.publish('tasks', 2);
    await until(async () => (await queue.workers('tasks')).length === 1, { what: 'it lives' });
    const renewals = async (): Promise<number> =>
      Number(await bed.admin.zscore('{tasks}:~alive', (await queue.workers('tasks'))[0]!.consumer));
    const since = await renewals();
    await until(async () => (await renewals()) > since + 200, { what: 'it had time for several sweeps' });
    expect(runs).toEqual([]);
    // Not even for a moment.
    expect(await bed.admin.xpending('tasks', 'sluice', '-', '+', 10)).toMatchObject([
      [expect.anything(), RELEASED, expect.anything(), 1],
    ]);
    expect(reaped).toBe(0);
    await queue.resume('tasks');
    await bed.untilSettled();
    expect(runs).toHaveLength(2);
    expect(reaped).toBe(1);
    unsubscribe(QUEUE_CHANNELS.reaped, count);
  });

  it('lets nothing start that is published once it has resolved, in any process', async () => {
    const runs: unknown[] = [];
    const apps = [await start((task) => void runs.push(task)), await start((task) => void runs.push(task))];
    const [{ queue }] = apps as [QueueApp];
    await until(async () => (await blocked()) === 2, { what: 'both read' });
    for (let round = 0; round < 20; round++) {
      expect(await queue.pause('tasks')).toEqual({ changed: true, unconfirmed: [] });
      await queue.publish('tasks', round);
      await bed.admin.ping();
      expect(runs).toHaveLength(round);
      await queue.resume('tasks');
      await until(() => runs.length === round + 1, { what: 'it runs after the resume' });
    }
  });

  it('holds before it is confirmed, however late the next renewal of a lease is', async () => {
    const runs: unknown[] = [];
    const worker = await start((task) => void runs.push(task));
    const { queue } = await bed.start({ queue: { consumers: false } });
    await until(async () => (await blocked()) === 1, { what: 'it reads' });
    const { commands } = worker.connections.get();
    const { opened, open } = gate();
    const send = commands.send.bind(commands);
    const renewals = jest.spyOn(commands, 'send').mockImplementation(async (command, args, options) => {
      if (String(args?.[2]).endsWith(':~alive')) await opened;
      return send(command, args, options);
    });
    try {
      expect(await queue.pause('tasks')).toEqual({ changed: true, unconfirmed: [] });
      await queue.publish('tasks', 1);
      const returned = async (): Promise<number> =>
        (await bed.admin.xpending('tasks', 'sluice', '-', '+', 1, RELEASED)).length;
      const left = async (): Promise<boolean> => (await blocked()) === 0 && (await queue.counts('tasks')).running === 0;
      await until(async () => runs.length > 0 || (await returned()) === 1 || (await left()), { what: 'it is decided' });
      expect(runs).toEqual([]);
    } finally {
      // Or the app could not be closed.
      open();
      renewals.mockRestore();
    }
    await queue.resume('tasks');
    await until(() => runs.length === 1, { what: 'it runs after the resume' });
  });

  it('names the processes that did not confirm within a third of a lease', async () => {
    const { queue } = await start(() => {}, 600);
    await until(async () => (await blocked()) === 1, { what: 'it reads' });
    const consumer = 'sluice:gone:1:abc-123456789012';
    await bed.admin.zadd('{tasks}:~alive', Date.now() + 60_000, consumer);
    expect(await queue.pause('tasks')).toEqual({ changed: true, unconfirmed: [consumer] });
  });

  it('keeps other queues going', async () => {
    const seen: string[] = [];
    const { queue } = await bed.start({
      handlers: { tasks: () => seen.push('tasks'), other: () => seen.push('other') },
    });
    await queue.pause('tasks');
    await queue.publish('tasks', 1);
    await queue.publish('other', 1);
    await until(() => seen.length === 1, { what: 'the other ran' });
    expect(seen).toEqual(['other']);
  });

  it('starts nothing that comes after it is known, and hands it back', async () => {
    const runs: unknown[] = [];
    const { queue, connections } = await start((task) => void runs.push(task), 1_500);
    await until(async () => (await blocked()) === 1, { what: 'it reads' });
    await queue.pause('tasks');
    await until(async () => (await blocked()) === 0, { what: 'it reads no more' });
    // As by a read that was under way: it is the worker's before it hears of it.
    const [worker] = (await queue.workers('tasks')) as readonly { consumer: string }[];
    const consumer = worker!.consumer;
    expect(consumer).toContain(connections.processId);
    await queue.publish('tasks', 1);
    await bed.admin.xreadgroup('GROUP', 'sluice', consumer, 'STREAMS', 'tasks', '>');
    await bed.admin.call(
      'XCLAIM',
      'tasks',
      'sluice',
      consumer,
      0,
      (await bed.admin.xrange('tasks', '-', '+'))[0]![0],
      'IDLE',
      60_000,
      'JUSTID',
    );
    expect(await queue.counts('tasks')).toMatchObject({ running: 1 });
    await until(async () => (await queue.counts('tasks')).running === 0, { what: 'it was returned' });
    expect(runs).toEqual([]);
    await queue.resume('tasks');
    await bed.untilSettled();
    expect(runs).toHaveLength(1);
  });
});
