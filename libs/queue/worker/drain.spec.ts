import { describe, expect, it } from '@jest/globals';
import { Global, Injectable, Module, type BeforeApplicationShutdown, type OnModuleDestroy } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { setTimeout as pause } from 'node:timers/promises';
import { gate } from '../../../test/support/gate.js';
import {
  startQueueApp,
  type QueueApp,
  type QueueAppOptions,
  type TestHandler,
} from '../../../test/support/queue-app.js';
import { QueueBed } from '../../../test/support/queue-bed.js';
import { itWith } from '../../../test/support/refused-commands.js';
import { until } from '../../../test/support/until.js';
import { startRedis } from '../../testing/index.js';
import { SluiceRedisModule, unframe } from '../../redis/index.js';
import { QueueService, SluiceQueueModule, TaskHandler, type Task } from '../index.js';

const bed = new QueueBed();
const start = (tasks: TestHandler, options: Partial<QueueAppOptions> = {}): Promise<QueueApp> =>
  bed.start({ handlers: { tasks }, ...options });

/** What another process leaves on the queue: no consumer, no lease, no socket. */
async function tracesOf({ connections }: QueueApp): Promise<string[]> {
  const consumers = (await bed.admin.xinfo('CONSUMERS', 'tasks', 'sluice')) as string[][];
  const leases = await bed.admin.zrange('{tasks}:~alive', '0', '-1');
  const names = [...consumers.map((row) => row[1]!), ...leases];
  return names.filter((name) => name.includes(connections.processId));
}

describe('a graceful stop', () => {
  it('finishes what runs and returns the rest: nothing lost, doubled or counted as an attempt', async () => {
    const { opened, open } = gate();
    const runs: [app: string, payload: number, attempt: number, deliveries: number][] = [];
    const handler = (name: string): TestHandler => ({
      run: async (task: Task<number>) => {
        runs.push([name, task.payload, task.attempt, task.deliveries]);
        if (name === 'first') await opened;
      },
      options: { concurrency: 2 },
    });
    const first = await start(handler('first'));
    await first.queue.publishMany('tasks', [...new Array(10).keys()]);
    await until(async () => runs.length === 2 && (await bed.books.pending()) === 2, { what: 'its hands are full' });

    const closed = first.app.close();
    const second = await start(handler('second'), { queue: { leaseMs: 300_000 } });
    // At once, and without the proof of its own lease that taking over from the dead would need.
    await until(() => runs.length === 10, { what: 'the second runs what was returned' });
    expect(runs.filter(([name]) => name === 'first').map(([, payload]) => payload)).toEqual([0, 1]);
    await until(async () => (await bed.admin.xlen('tasks')) === 2, {
      what: 'what the second finished is acknowledged',
    });

    open();
    await closed;
    await bed.untilSettled();
    expect(runs.map(([, payload]) => payload).sort()).toEqual([...new Array(10).keys()]);
    expect(runs.every(([, , attempt, deliveries]) => attempt === 1 && deliveries === 1)).toBe(true);
    expect(await tracesOf(first)).toEqual([]);
    expect(await tracesOf(second)).toHaveLength(2);
  });

  it('with 50 running and many at hand: the rest runs elsewhere at once', async () => {
    let hold: ReturnType<typeof gate> | undefined;
    const runs: { app: string; id: string; attempt: number; deliveries: number; by: object | undefined }[] = [];
    const handler = (app: string): TestHandler => ({
      run: async ({ id, attempt, deliveries }: Task<number>) => {
        const by = app === 'first' ? hold : undefined;
        runs.push({ app, id, attempt, deliveries, by });
        await by?.opened;
      },
      options: { concurrency: 50 },
    });
    // What waits here for a second is returned to an idle process at the next renewal: that comes long after this test.
    const first = await start(handler('first'), { queue: { leaseMs: 300_000 } });
    const ids: string[] = [];
    const heldOnes = () => runs.filter(({ by }) => by !== undefined && by === hold);
    const left = () => bed.admin.xlen('tasks');
    /** Tasks turn slow while it is at its pace. How many it then has at hand depends on the machine. */
    const turnSlow = async (wanted: number): Promise<number> => {
      hold?.open();
      hold = undefined;
      await first.queue.pause('tasks');
      ids.push(...(await first.queue.publishMany('tasks', new Array<number>(5_000).fill(0))));
      await first.queue.resume('tasks');
      const atItsPace = async (): Promise<boolean> => (await bed.books.pending()) > wanted || (await left()) === 0;
      await until(atItsPace, { what: 'it is at its pace, or has done all', everyMs: 1 });
      if ((await left()) < 100) return 0;
      hold = gate();
      await until(async () => heldOnes().length === 50 || (await left()) === heldOnes().length, { what: '50 run' });
      if (heldOnes().length < 50) return 0;
      await until(async () => (await left()) === ids.length - runs.length + 50, { what: 'the others are settled' });
      return (await bed.books.pending()) - 50;
    };
    for (let wanted = 300; (await turnSlow(wanted)) < 10;) wanted = Math.max(75, wanted / 2);
    const second = await start(handler('second'));
    await until(async () => (await bed.admin.xlen('tasks')) === (await bed.books.pending()), {
      what: 'the second has taken the others',
    });

    const told: unknown[] = [];
    const listener = bed.admin.duplicate();
    listener.on('pmessageBuffer', (_pattern: unknown, _channel: unknown, message: Buffer) => {
      told.push(unframe(message)?.[0]);
    });
    await listener.psubscribe('*~inbox:*');
    const closed = first.app.close();
    await until(() => runs.length === ids.length, { what: 'the second runs what was returned' });
    // Told, not found by the next look.
    await until(() => told.includes('queue:released'), { what: 'the others are told' });
    listener.disconnect();
    hold?.open();
    await closed;
    await bed.untilSettled();
    expect(runs.map(({ id }) => id).sort()).toEqual([...ids].sort());
    expect(heldOnes()).toHaveLength(50);
    expect(runs.every(({ attempt, deliveries }) => attempt === 1 && deliveries === 1)).toBe(true);
    expect(await tracesOf(first)).toEqual([]);
    expect(await tracesOf(second)).not.toEqual([]);
  });

  it('aborts what runs longer than drainMs, and hands it back uncounted', async () => {
    const reasons: unknown[] = [];
    const first = await start(
      async ({ signal }) => {
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve);
        });
        reasons.push(signal.reason);
        throw new Error('cut short');
      },
      { queue: { drainMs: 100 } },
    );
    await first.queue.publish('tasks', 1);
    await until(async () => (await bed.books.pending()) === 1, { what: 'it runs' });
    await first.app.close();
    expect(reasons).toEqual([expect.objectContaining({ name: 'AbortError' })]);
    expect(await tracesOf(first)).toEqual([]);

    const seen: Task<never>[] = [];
    await start((task) => void seen.push(task));
    await bed.untilSettled();
    expect(seen).toEqual([expect.objectContaining({ attempt: 1, deliveries: 1 })]);
    expect(await bed.admin.exists('{tasks}:~dead')).toBe(0);
  });

  it('is over before the modules that handlers depend on go down', async () => {
    const order: string[] = [];
    @Injectable()
    class Database implements OnModuleDestroy {
      onModuleDestroy(): void {
        order.push('database closed');
      }
    }
    @Module({ providers: [Database], exports: [Database] })
    class DatabaseModule {}
    const { app, queue } = await start(
      async () => {
        order.push('started');
        await pause(100);
        order.push('finished');
      },
      { imports: [DatabaseModule] },
    );
    await queue.publish('tasks', 1);
    await until(() => order.length === 1, { what: 'it runs' });
    await app.close();
    expect(order).toEqual(['started', 'finished', 'database closed']);
  });

  it('is over before the root module goes down, where handler and database are its own, and imported after it', async () => {
    const order: string[] = [];
    const handled = gate();
    @Injectable()
    class Database implements OnModuleDestroy, BeforeApplicationShutdown {
      onModuleDestroy(): void {
        order.push('database closed');
      }
      beforeApplicationShutdown(): void {
        order.push('shutdown');
      }
    }
    @Injectable()
    class Shop {
      // Not by its constructor: Nest knows of no order between the two.
      @TaskHandler('tasks')
      async handle(): Promise<void> {
        order.push('started');
        handled.open();
        await pause(100);
        order.push('finished');
      }
    }
    @Global()
    @Module({ providers: [Database] })
    class GlobalModule {}
    @Module({ providers: [Database] })
    class LateModule {}
    @Module({
      imports: [
        SluiceRedisModule.forRoot({ redis: { url: bed.redis.url } }),
        SluiceQueueModule.forRoot(),
        ...[GlobalModule, LateModule],
      ],
      providers: [Database, Shop],
    })
    class RootModule {}
    const app = await NestFactory.createApplicationContext(RootModule, { logger: false });
    await app.get(QueueService).publish('tasks', 1);
    await handled.opened;
    await app.close();
    expect(order).toEqual([
      ...['started', 'finished', 'database closed', 'database closed', 'database closed'],
      ...['shutdown', 'shutdown', 'shutdown'],
    ]);
  });

  it('lets tasks publish while it drains', async () => {
    const { opened, open } = gate();
    const published: string[] = [];
    const { app, queue } = await start(async () => {
      await opened;
      published.push(await queue.publish('next', 1));
    });
    await queue.publish('tasks', 1);
    await until(async () => (await bed.books.pending()) === 1, { what: 'it runs' });
    const closed = app.close();
    open();
    await closed;
    expect(published).toEqual([expect.any(String)]);
    expect(await bed.admin.xlen('next')).toBe(1);
  });

  // It finds the sockets by their names.
  itWith(['client|setname'])('leaves no socket', async () => {
    const ours = async (): Promise<number> =>
      [...((await bed.admin.client('LIST')) as string).matchAll(/ name=sluice:/g)].length;
    const { app } = await start(() => {});
    await until(async () => (await ours()) === 3, { what: 'commands, inbox and reader are connected' });
    await app.close();
    await until(async () => (await ours()) === 0, { what: 'all are gone' });
  });

  it('ends soon when Redis is gone', async () => {
    const own = await startRedis();
    const { opened, open } = gate();
    let running = false;
    const { app, queue } = await startQueueApp({
      url: own.url,
      handlers: {
        tasks: async () => {
          running = true;
          await opened;
        },
      },
    });
    await queue.publish('tasks', 1);
    await until(() => running, { what: 'it runs' });
    await own.kill();
    open();
    const sentMs = performance.now();
    await app.close();
    expect(performance.now() - sentMs).toBeLessThan(15_000);
    await own.stop();
  });
});
