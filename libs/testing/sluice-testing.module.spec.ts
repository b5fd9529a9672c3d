import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Inject, Injectable } from '@nestjs/common';
import { Cron, ScheduleModule } from '@nestjs/schedule';
import { Test, type TestingModule } from '@nestjs/testing';
import {
  CacheService,
  CacheStampedeSafe,
  DeadLetterTask,
  DropTask,
  LockService,
  LockTimeoutError,
  QueueService,
  REDIS_CONNECTIONS,
  RetryTask,
  SnoozeTask,
  TaskHandler,
  WithLock,
  currentLock,
  defineQueue,
  type PublishOptions,
  type RedisConnections,
  type Task,
} from '../sluice/index.js';
import { until } from '../../test/support/until.js';
import { SluiceTestingModule } from './sluice-testing.module.js';
import { TestingClock } from './in-process/testing-clock.js';
import { TestingQueue } from './in-process/testing-queue.js';

interface Order {
  id: number;
  fails?: number;
}
const Orders = defineQueue<Order>('orders');
const Mails = defineQueue<{ order: number }>('mails');

@Injectable()
class Shop {
  running = 0;
  most = 0;
  loads = 0;
  readonly attempts: number[] = [];
  readonly sent: number[] = [];
  gate = Promise.resolve();

  constructor(@Inject(QueueService) private readonly queue: QueueService) {}

  @WithLock('till')
  async pay(): Promise<number | undefined> {
    this.most = Math.max(this.most, ++this.running);
    await new Promise((resolve) => setImmediate(resolve));
    this.running--;
    return currentLock()?.fencingToken;
  }

  @CacheStampedeSafe({ key: (id: number) => `product:${id}` })
  async product(id: number): Promise<{ id: number; at: Date }> {
    this.loads++;
    await this.gate;
    return { id, at: new Date(0) };
  }

  @CacheStampedeSafe()
  async byDefaultKey(of: string): Promise<string> {
    this.loads++;
    return Promise.resolve(of);
  }

  @TaskHandler(Orders, { maxAttempts: 3 })
  async handle(task: Task<Order>): Promise<void> {
    this.attempts.push(task.attempt);
    if ((task.payload.fails ?? 0) >= task.attempt) throw new Error(`failed ${task.attempt}`);
    await this.queue.publish(Mails, { order: task.payload.id });
  }

  @TaskHandler(Mails)
  mail(task: Task<{ order: number }>): void {
    this.sent.push(task.payload.order);
  }
}

let app: TestingModule;
let shop: Shop;
beforeEach(async () => {
  app = await Test.createTestingModule({
    imports: [SluiceTestingModule.forRoot()],
    providers: [Shop],
  }).compile();
  await app.init();
  shop = app.get(Shop);
});
afterEach(() => app.close());

describe('SluiceTestingModule', () => {
  it('opens no socket, and says so to whoever wants one', async () => {
    const sockets = () => process.getActiveResourcesInfo().filter((each) => each.startsWith('TCP')).length;
    const before = sockets();
    const other = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()] }).compile();
    await other.init();
    expect(sockets()).toBeLessThanOrEqual(before);
    const connections = other.get<RedisConnections>(REDIS_CONNECTIONS, { strict: false });
    expect(() => connections.get()).toThrow('SluiceTestingModule has no Redis');
    await other.close();
  });

  it('locks: one at a time, in the order of arrival, with growing tokens', async () => {
    const tokens = await Promise.all(Array.from({ length: 20 }, () => shop.pay()));
    expect(shop.most).toBe(1);
    expect(tokens).toEqual([...tokens].sort((a, b) => (a ?? 0) - (b ?? 0)));
    expect(new Set(tokens).size).toBe(20);
  });

  it('locks: busy, given up, released, expired', async () => {
    const locks = app.get(LockService);
    const held = await locks.acquire('a');
    expect(await locks.tryAcquire('a')).toBeNull();
    await expect(locks.acquire('a', { waitMs: 20 })).rejects.toBeInstanceOf(LockTimeoutError);
    const next = locks.acquire('a', { ttlMs: 30, renew: false });
    expect(await held.release()).toBe(true);
    expect((await next).fencingToken).toBeGreaterThan(held.fencingToken);
    await locks.acquire('a');
    expect((await next).held).toBe(false);
  });

  it('locks: inspected, counted, forced, by the plain recipe', async () => {
    const locks = app.get(LockService);
    expect(await locks.inspect('a')).toBeNull();
    const held = await locks.acquire('a', { owner: 'me' });
    const next = locks.acquire('a', { owner: 'you' });
    await until(() => locks.stats().contended === 1, { what: 'it waits' });
    const { owner, fencingToken } = held;
    expect(await locks.inspect('a')).toMatchObject({ owner, fencingToken, kind: 'ours', pid: process.pid, waiting: 1 });
    expect((await locks.inspect('a'))?.waiters).toMatchObject([{ owner: 'you', pid: process.pid }]);
    expect(await locks.forceRelease('a')).toBe(true);
    expect(held.held).toBe(false);
    expect(held.signal.reason).toMatchObject({ reason: 'forced' });
    const token = (await next).fencingToken;
    await locks.fenced.set('k', 'v', token);
    await expect(locks.fenced.set('k', 'v', held.fencingToken)).rejects.toMatchObject({ code: 'SLUICE_STALE_TOKEN' });
    expect(await (await next).release()).toBe(true);
    expect(locks.stats()).toMatchObject({ acquired: 2, contended: 1, lost: 1, held: 0, waiting: 0 });

    expect(await locks.raw.acquire('a', 'cli', 60_000)).toBe(1);
    expect(await locks.raw.acquire('a', 'cli', 60_000)).toBe(0);
    expect(await locks.inspect('a')).toMatchObject({ owner: 'cli', kind: 'foreign' });
    expect(await locks.tryAcquire('a')).toBeNull();
    expect(await locks.raw.extend('a', 'you', 1)).toBe(0);
    expect(await locks.raw.extend('a', 'cli', 30_000)).toBe(1);
    expect(await locks.raw.release('a', 'you')).toBe(0);
    const waits = locks.acquire('a');
    expect(await locks.raw.release('a', 'cli')).toBe(1);
    expect((await waits).held).toBe(true);
  });

  it('keeps a lock that is renewed', async () => {
    const locks = app.get(LockService);
    const held = await locks.acquire('a', { ttlMs: 900 });
    const from = performance.now();
    await until(() => performance.now() - from > 1_000, { what: 'a lease has passed' });
    expect(held.held).toBe(true);
    expect(await locks.tryAcquire('a')).toBeNull();
  });

  it('runs a @Cron method with @WithLock', async () => {
    @Injectable()
    class Clockwork {
      ticks = 0;

      @Cron('* * * * * *')
      @WithLock('tick')
      async tick(): Promise<void> {
        this.ticks++;
        return Promise.resolve();
      }
    }
    const scheduled = await Test.createTestingModule({
      imports: [ScheduleModule.forRoot(), SluiceTestingModule.forRoot()],
      providers: [Clockwork],
    }).compile();
    await scheduled.init();
    await until(() => scheduled.get(Clockwork).ticks > 0, { what: 'a tick came' });
    await scheduled.close();
  });

  it('caches: one load, a copy for each caller', async () => {
    const products = await Promise.all(Array.from({ length: 100 }, () => shop.product(1)));
    expect(shop.loads).toBe(1);
    expect(products[0]).toEqual({ id: 1, at: new Date(0) });
    expect(products[1]).not.toBe(products[0]);
    await shop.byDefaultKey('a');
    await shop.byDefaultKey('a');
    expect(shop.loads).toBe(2);
  });

  it('caches: what was invalidated while it was loaded is not kept', async () => {
    let open = (): void => {};
    shop.gate = new Promise<void>((resolve) => (open = resolve));
    const first = shop.product(2);
    await until(() => shop.loads === 1, { what: 'the load has begun' });
    expect(await app.get(CacheService).delete('product:2')).toBe(false);
    open();
    await first;
    expect(await app.get(CacheService).get('product:2')).toBeUndefined();
    await shop.product(2);
    expect(shop.loads).toBe(2);
  });

  it('caches: an error is shared during its back-off', async () => {
    const cache = app.get(CacheService);
    const error = new Error('no source');
    const failing = (): never => {
      throw error;
    };
    await expect(cache.getOrLoad('k', failing)).rejects.toBe(error);
    await expect(cache.getOrLoad('k', () => 1)).rejects.toBe(error);
    await cache.set('k', 2);
    expect(await cache.getOrLoad('k', () => 3)).toBe(2);
    await cache.set('k', 2, { ttlMs: 20 });
    await until(async () => (await cache.get('k')) === undefined, { what: 'it expired' });
  });

  it('caches: batches, local copies, tags and counters as on Redis', async () => {
    const cache = app.get(CacheService);
    const load = (keys: readonly string[]): string[] => keys.map((key) => `${key}!`);
    expect(await cache.getOrLoadMany(['a', 'b'], load, { tags: ['t'] })).toEqual(['a!', 'b!']);
    expect(await cache.getMany(['a', 'b', 'c'])).toEqual(['a!', 'b!', undefined]);
    expect(await cache.getOrLoad('a', () => 'never')).toBe('a!');
    expect(cache.stats()).toMatchObject({ total: { loads: 2, hits: { local: 1, redis: 2 } }, local: { entries: 2 } });
    await cache.invalidateTags('t');
    expect(await cache.getMany(['a', 'b'])).toEqual([undefined, undefined]);
    expect((await cache.warm([{ key: 'a', loader: () => 'warm' }])).loaded).toBe(1);
    await cache.clear();
    expect(await cache.get('a')).toBeUndefined();
  });

  it('caches: a loader is told of an invalidated tag and of a clear, and who called it gets what is loaded next', async () => {
    const cache = app.get(CacheService);
    const invalidations = { tagged: () => cache.invalidateTags('t'), cleared: () => cache.clear() };
    for (const [key, invalidate] of Object.entries(invalidations)) {
      let loads = 0;
      const call = cache.getOrLoad(
        key,
        ({ signal }) =>
          ++loads === 2
            ? 'new'
            : new Promise((_, reject) => {
                signal.addEventListener('abort', () => {
                  reject(signal.reason as Error);
                });
              }),
        { tags: ['t'] },
      );
      await until(() => loads === 1, { what: 'it loads', everyMs: 1 });
      await invalidate();
      expect(await call).toBe('new');
      expect(loads).toBe(2);
    }
  });

  it('queues: records, and runs when told to, with retries and dead letters', async () => {
    const queue = app.get(TestingQueue);
    const ids = await app.get(QueueService).publishMany(Orders, [{ id: 1 }, { id: 2, fails: 1 }, { id: 3, fails: 9 }]);
    expect(queue.published(Orders).map(({ id, payload }) => [id, payload.id])).toEqual(ids.map((id, i) => [id, i + 1]));
    expect(shop.attempts).toEqual([]);
    expect(await queue.drain()).toEqual({ completed: 4, dead: 1 });
    expect(shop.attempts.sort()).toEqual([1, 1, 1, 2, 2, 3]);
    expect(shop.sent).toEqual([1, 2]);
    expect(queue.deadTasks(Orders)).toEqual([
      { id: ids[2], payload: { id: 3, fails: 9 }, error: new Error('failed 3') },
    ]);
    expect(await queue.drain()).toEqual({ completed: 0, dead: 0 });
  });

  it('queues: delays wait until time was let pass, and handlers say what becomes of their tasks', async () => {
    const runs: string[] = [];
    @Injectable()
    class Steps {
      @TaskHandler('steps', { backoff: 60_000 })
      run({ payload, attempt }: Task<string>): void {
        runs.push(`${payload} ${attempt}`);
        if (payload === 'snooze' && runs.length < 3) throw new SnoozeTask({ delayMs: 1_000 });
        if (payload === 'drop') throw new DropTask();
        if (payload === 'dead') throw new DeadLetterTask('no use');
        if (payload === 'retry' && attempt === 1) throw new RetryTask({ delayMs: 1_000 });
        if (payload === 'fail') throw new Error('no');
      }
    }
    const steps = await Test.createTestingModule({
      imports: [SluiceTestingModule.forRoot()],
      providers: [Steps],
    }).compile();
    await steps.init();
    const queue = steps.get(TestingQueue);
    /** Publishes one, runs it, and lets time pass. */
    const play = async (payload: string, options?: PublishOptions): Promise<object[]> => {
      runs.length = 0;
      await queue.publish('steps', payload, options);
      const first = await queue.drain();
      const { delayed } = await queue.counts('steps');
      await steps.get(TestingClock).advance(1_000);
      return [first, { delayed }, await queue.drain(), [...runs]];
    };
    const done = { completed: 1, dead: 0 };
    const dead = { completed: 0, dead: 1 };
    const none = { completed: 0, dead: 0 };
    expect(await play('late', { delayMs: 1_000 })).toEqual([none, { delayed: 1 }, done, ['late 1']]);
    expect(await play('retry')).toEqual([none, { delayed: 1 }, done, ['retry 1', 'retry 2']]);
    expect(await play('drop')).toEqual([done, { delayed: 0 }, none, ['drop 1']]);
    expect(await play('dead')).toEqual([dead, { delayed: 0 }, none, ['dead 1']]);
    expect(await play('fail', { maxAttempts: 2 })).toEqual([dead, { delayed: 0 }, none, ['fail 1', 'fail 2']]);
    expect(await play('snooze')).toEqual([none, { delayed: 1 }, none, ['snooze 1', 'snooze 1']]);
    await steps.get(TestingClock).advance(1_000);
    expect(await queue.drain()).toEqual(done);
    expect((await queue.dead('steps').list()).tasks.map((letter) => letter.reason)).toEqual(['no use', 'max-attempts']);
    await steps.close();
  });

  it('queues: each group of a queue gets every task, and retries its own', async () => {
    const runs: string[] = [];
    @Injectable()
    class Handlers {
      @TaskHandler('parcels', { group: 'pack' })
      pack({ payload, attempt }: Task<number>): void {
        runs.push(`pack ${payload} ${attempt}`);
        if (attempt === 1) throw new Error('not yet');
      }

      @TaskHandler('parcels', { group: 'bill' })
      bill({ payload, attempt }: Task<number>): void {
        runs.push(`bill ${payload} ${attempt}`);
      }
    }
    const both = await Test.createTestingModule({
      imports: [SluiceTestingModule.forRoot()],
      providers: [Handlers],
    }).compile();
    await both.init();
    await both.get(QueueService).publish('parcels', 7);
    expect(await both.get(TestingQueue).drain()).toEqual({ completed: 2, dead: 0 });
    expect(runs.sort()).toEqual(['bill 7 1', 'pack 7 1', 'pack 7 2']);
    await both.close();
  });

  it('queues: refuses what the real one refuses', async () => {
    const queue = app.get(QueueService);
    await expect(queue.publish('orders', 1n)).rejects.toMatchObject({ code: 'SLUICE_QUEUE_UNSERIALIZABLE' });
    await expect(queue.publish('', {})).rejects.toMatchObject({ code: 'SLUICE_BAD_NAME' });
  });
});
