/** A Nest 11 app in CommonJS under Jest with the packed package: one method per decorator. */
import 'reflect-metadata';
import { Injectable, Module, OnModuleDestroy } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  CacheStampedeSafe,
  QueueService,
  SluiceModule,
  Task,
  TaskHandler,
  WithLock,
  isSluiceError,
} from 'nestjs-sluice';
import { LockService } from 'nestjs-sluice/lock';

@Injectable()
class Shop {
  settled = 0;
  loads = 0;
  handled: Task<{ total: number }>[] = [];
  onHandled = (): void => {};

  @WithLock('settle')
  async settle(): Promise<number> {
    return ++this.settled;
  }

  @CacheStampedeSafe({ key: (id: string) => `user:${id}`, ttlMs: 60_000 })
  async user(id: string): Promise<string> {
    this.loads++;
    return `user ${id}`;
  }

  @TaskHandler('orders')
  async process(task: Task<{ total: number }>): Promise<void> {
    this.handled.push(task);
    this.onHandled();
  }
}

const order: string[] = [];

@Injectable()
class Database implements OnModuleDestroy {
  onModuleDestroy(): void {
    order.push('database closed');
  }
}

@Injectable()
class SlowHandler {
  onStarted = (): void => {};

  @TaskHandler('slow')
  async process(): Promise<void> {
    this.onStarted();
    await new Promise((resolve) => setTimeout(resolve, 200));
    order.push('task finished');
  }
}

@Module({
  providers: [Shop, Database, SlowHandler],
  imports: [SluiceModule.forRoot({ namespace: 'pack-cjs', redis: { url: process.env.SLUICE_REDIS_URL! } })],
})
class AppModule {}

test('the three decorators work, and the app closes', async () => {
  const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
  const app = await module.init();
  const shop = app.get(Shop);

  expect((await Promise.all([shop.settle(), shop.settle()])).sort()).toEqual([1, 2]);
  await app.get(LockService).withLock('by hand', async (lock) => {
    expect(lock.held).toBe(true);
  });
  expect(await Promise.all([shop.user('a'), shop.user('a')])).toEqual(['user a', 'user a']);
  expect(shop.loads).toBe(1);
  const handled = new Promise<void>((resolve) => (shop.onHandled = resolve));
  const id = await app.get(QueueService).publish('orders', { total: 7 });
  await handled;
  expect(shop.handled).toMatchObject([{ id, payload: { total: 7 } }]);

  const started = new Promise<void>((resolve) => (app.get(SlowHandler).onStarted = resolve));
  await app.get(QueueService).publish('slow', 1);
  await started;
  await app.close();
  // Also of the root module itself.
  expect(order).toEqual(['task finished', 'database closed']);
});

test('a method whose object has no service bound refuses to run', async () => {
  const refused: unknown = await new Shop().settle().catch((error: unknown) => error);
  expect(isSluiceError(refused, 'SLUICE_NOT_BOUND')).toBe(true);
});
