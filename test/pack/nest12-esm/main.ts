/** A Nest 12 app in ESM with the packed package: one method per decorator, two callers each. */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  CacheStampedeSafe,
  LockService,
  QueueService,
  SluiceModule,
  Task,
  TaskHandler,
  WithLock,
  defineQueue,
} from 'nestjs-sluice';
import { LockService as LockServiceOfSubpath } from 'nestjs-sluice/lock';

interface Order {
  total: number;
}
const Orders = defineQueue<Order>('orders');

@Injectable()
class Shop {
  settled = 0;
  loads = 0;
  onHandled = (_task: Task<Order>): void => {};

  @WithLock('settle')
  async settle(): Promise<number> {
    return ++this.settled;
  }

  @CacheStampedeSafe({ key: (id: string) => `user:${id}`, ttlMs: 60_000 })
  async user(id: string): Promise<{ id: string; since: Date }> {
    this.loads++;
    return { id, since: new Date(0) };
  }

  @TaskHandler(Orders)
  async process(task: Task<Order>): Promise<void> {
    this.onHandled(task);
  }
}

@Module({
  providers: [Shop],
  imports: [SluiceModule.forRoot({ namespace: 'pack-esm', redis: { url: process.env['SLUICE_REDIS_URL']! } })],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'warn'] });
const shop = app.get(Shop);

assert.deepEqual((await Promise.all([shop.settle(), shop.settle()])).sort(), [1, 2]);
await app.get(LockService).withLock('by hand', async (lock) => {
  assert.ok(lock.held);
});
assert.deepEqual(await Promise.all([shop.user('a'), shop.user('a')]), Array(2).fill({ id: 'a', since: new Date(0) }));
assert.equal(shop.loads, 1);
const handled = new Promise<Task<Order>>((resolve) => (shop.onHandled = resolve));
const id = await app.get(QueueService).publish(Orders, { total: 7 });
const task = await handled;
assert.deepEqual([task.id, task.payload], [id, { total: 7 }]);

// One class, by whatever way it is loaded: 'module-sync' comes first in the exports.
const required = createRequire(import.meta.url)('nestjs-sluice') as { LockService: unknown };
assert.equal(required.LockService, LockService);
assert.equal(LockServiceOfSubpath, LockService);

await app.close();
console.log('all three decorators work');
