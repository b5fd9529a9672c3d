/** A Nest 12 app in ESM with the packed package: one method per decorator, two callers each; and nestjs-cls around tasks. */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { setTimeout } from 'node:timers/promises';
import { Inject, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClsModule, ClsService, UseCls } from 'nestjs-cls';
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
const Mails = defineQueue<string>('mails');

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

/** Tasks that run side by side, each in a store of its own, seen by whatever they call. */
@Injectable()
class Mailer {
  /** What a task saw when it began, and after the others had begun as well. */
  readonly seen: [to: string, began: unknown, then: unknown][] = [];
  #begun = 0;
  #allBegan = (): void => {};
  readonly #all = new Promise<void>((resolve) => (this.#allBegan = resolve));

  constructor(@Inject(ClsService) private readonly cls: ClsService) {}

  @TaskHandler(Mails)
  @UseCls<[Task<string>]>({ setup: (cls, task) => cls.set('task', task.id) })
  async handle(task: Task<string>): Promise<void> {
    await this.send(task);
  }

  async send({ id, payload }: Task<string>): Promise<void> {
    const began = this.cls.get<string>('task');
    this.cls.set('to', payload);
    if (++this.#begun === 3) this.#allBegan();
    await this.#all;
    assert.equal(began, id);
    this.seen.push([payload, began, this.cls.get('to')]);
  }
}

@Module({
  providers: [Shop, Mailer],
  imports: [
    ClsModule.forRoot({ global: true }),
    SluiceModule.forRoot({ namespace: 'pack-esm', redis: { url: process.env['SLUICE_REDIS_URL']! } }),
  ],
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

const mailer = app.get(Mailer);
const ids = await app.get(QueueService).publishMany(Mails, ['a', 'b', 'c']);
for (const deadline = Date.now() + 10_000; mailer.seen.length < 3 && Date.now() < deadline;) await setTimeout(10);
assert.deepEqual(
  mailer.seen.sort(),
  ['a', 'b', 'c'].map((to, n) => [to, ids[n], to]),
);

// One class, by whatever way it is loaded: 'module-sync' comes first in the exports.
const required = createRequire(import.meta.url)('nestjs-sluice') as { LockService: unknown };
assert.equal(required.LockService, LockService);
assert.equal(LockServiceOfSubpath, LockService);

await app.close();
console.log('all three decorators work');
