import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, Module, type Type } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import {
  CacheService,
  CacheStampedeSafe,
  LockService,
  QueueService,
  SluiceLockModule,
  SluiceModule,
  SluiceRedisModule,
  TaskHandler,
  WithLock,
  currentLock,
  type Task,
} from '../sluice/index.js';
import { SluiceTestingModule, TestingClock, TestingQueue } from './index.js';

/** Nothing listens there: an app that connects fails to boot. */
const redis = { url: 'redis://127.0.0.1:1', bootTimeoutMs: 500 };

@Injectable()
class Shop {
  loads = 0;
  readonly shipped: unknown[] = [];

  @WithLock('till')
  async pay(): Promise<string | undefined> {
    return Promise.resolve(currentLock()?.name);
  }

  @CacheStampedeSafe({ key: 'price', ttlMs: 60_000 })
  async price(): Promise<number> {
    return Promise.resolve(++this.loads);
  }

  @TaskHandler('orders')
  async ship(task: Task): Promise<void> {
    this.shipped.push(task.payload);
    return Promise.resolve();
  }
}

let app: TestingModule | undefined;
afterEach(async () => {
  await app?.close();
  app = undefined;
});

async function boot(module: Type): Promise<TestingModule> {
  app = await SluiceTestingModule.override(Test.createTestingModule({ imports: [module] })).compile();
  return app.init();
}

describe('SluiceTestingModule.override', () => {
  it.each([
    ['forRoot', SluiceModule.forRoot({ namespace: 'shop', redis })],
    ['forRootAsync', SluiceModule.forRootAsync({ useFactory: () => ({ namespace: 'shop', redis }) })],
  ])('runs the real AppModule without Redis, on SluiceModule.%s', async (_name, sluice) => {
    @Module({ imports: [sluice], providers: [Shop] })
    class AppModule {}
    const tested = await boot(AppModule);
    const shop = tested.get(Shop);
    await expect(shop.pay()).resolves.toBe('till');
    await expect(Promise.all([shop.price(), shop.price()])).resolves.toEqual([1, 1]);
    await tested.get(QueueService).publish('orders', { id: 7 });
    const queue = tested.get(TestingQueue);
    expect(queue).toBe(tested.get(QueueService));
    expect(queue.published('orders')).toHaveLength(1);
    expect(shop.shipped).toEqual([]);
    await expect(queue.drain()).resolves.toEqual({ completed: 1, dead: 0 });
    expect(shop.shipped).toEqual([{ id: 7 }]);
    await tested.get(TestingClock).advance(90_000);
    await expect(shop.price()).resolves.toBe(2);
  });

  it('keeps the options of the app', async () => {
    @Module({
      imports: [
        SluiceModule.forRoot({
          redis,
          lock: { names: { till: { ttlMs: 5_000 } } },
          cache: { ttlMs: 5_000, jitter: 0 },
          queue: { maxPayloadBytes: 100 },
        }),
      ],
    })
    class AppModule {}
    const tested = await boot(AppModule);
    const lock = await tested.get(LockService).acquire('till');
    expect(lock.expiresAt - tested.get(TestingClock).wallMs()).toBeLessThanOrEqual(5_000);
    await lock.release();
    const cache = tested.get(CacheService);
    await cache.getOrLoad('k', () => 1);
    await tested.get(TestingClock).advance(5_000);
    await expect(cache.getOrLoad('k', () => 2)).resolves.toBe(2);
    await expect(tested.get(QueueService).publish('orders', 'x'.repeat(101))).rejects.toMatchObject({
      code: 'SLUICE_QUEUE_PAYLOAD_TOO_LARGE',
    });
  });

  it('works with isGlobal: false, and with some features only', async () => {
    const sluice = SluiceModule.forRoot({ redis, isGlobal: false });
    @Module({ imports: [sluice], providers: [Shop] })
    class AppModule {}
    const tested = await boot(AppModule);
    await expect(tested.get(Shop).pay()).resolves.toBe('till');
    expect(tested.get(TestingQueue)).toBe(tested.get(QueueService));
    await tested.close();
    @Injectable()
    class Orders {
      @TaskHandler('orders')
      process(): Promise<void> {
        return Promise.resolve();
      }
    }
    @Module({ imports: [SluiceModule.forRoot({ redis, features: ['cache'] })], providers: [Orders] })
    class CacheOnly {}
    const small = await boot(CacheOnly);
    await expect(small.get(CacheService).getOrLoad('k', () => 1)).resolves.toBe(1);
    expect(() => small.get(TestingQueue)).toThrow();
  });

  it('works with the modules of single features', async () => {
    @Module({ imports: [SluiceRedisModule.forRoot({ redis }), SluiceLockModule.forRoot({ ttlMs: 7_000 })] })
    class AppModule {}
    const tested = await boot(AppModule);
    await expect(tested.get(LockService).withLock('a', ({ name }) => name)).resolves.toBe('a');
  });

  it('still refuses what the boot refuses', async () => {
    @Module({ imports: [SluiceModule.forRoot({ redis, lock: { ttlMs: -1 } })] })
    class AppModule {}
    await expect(boot(AppModule)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  });

  it('closes at once, whatever a test still holds', async () => {
    @Module({ imports: [SluiceModule.forRoot({ redis })] })
    class AppModule {}
    const tested = await boot(AppModule);
    await tested.get(LockService).acquire('a', { ttlMs: 600_000 });
    const beganMs = performance.now();
    await tested.close();
    expect(performance.now() - beganMs).toBeLessThan(8_000); // lock.drainMs is 10 s in production
  });
});
