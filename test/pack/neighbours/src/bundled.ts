/** The entry of the bundles: names are minified, and no script is known to the server. */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { Injectable } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ScheduleModule } from '@nestjs/schedule';
import { Redis } from 'ioredis';
import { ClsModule } from 'nestjs-cls';
import {
  CacheEvict,
  CacheService,
  CacheStampedeSafe,
  QueueService,
  TaskHandler,
  WithLock,
  currentLock,
  isSluiceError,
  type Task,
} from 'nestjs-sluice';
import { check, moduleOf, sluice, until } from './check.js';
import { scheduled } from './scheduled.js';

@Injectable()
class Shop {
  loads = 0;
  readonly tasks: string[] = [];

  @WithLock('till')
  async till(): Promise<string | undefined> {
    return currentLock()?.name;
  }

  @CacheStampedeSafe({ key: (id: string) => `product:${id}` })
  async product(id: string): Promise<string> {
    return `${id} ${++this.loads}`;
  }

  @CacheEvict({ key: (id: string) => `product:${id}` })
  async change(_id: string): Promise<void> {}

  @TaskHandler('orders')
  async order(task: Task<string>): Promise<void> {
    this.tasks.push(task.payload);
  }
}

@Injectable()
class Unnamed {
  @CacheStampedeSafe()
  async find(id: string): Promise<string> {
    return id;
  }
}

async function main(): Promise<void> {
  const admin = new Redis(process.env['SLUICE_REDIS_URL']!);
  await check('a bundle locks, caches and works on a server that knows no script', async () => {
    const imports = [ClsModule.forRoot({ global: true }), ScheduleModule.forRoot(), sluice('bundled')];
    const app = await NestFactory.createApplicationContext(moduleOf({ imports, providers: [Shop] }), {
      logger: ['error', 'warn'],
    });
    const shop = app.get(Shop);
    await admin.script('FLUSH');
    assert.equal(await shop.till(), 'till');
    await admin.script('FLUSH');
    assert.deepEqual(
      [await shop.product('a'), await shop.product('a'), await shop.product('a')],
      ['a 1', 'a 1', 'a 1'],
    );
    await admin.script('FLUSH');
    await shop.change('a');
    assert.equal(await shop.product('a'), 'a 2');
    await app.get(CacheService).set('k', 1);
    await admin.script('FLUSH');
    await app.get(QueueService).publish('orders', 'x');
    await until('the task has run', () => shop.tasks.length === 1);
    await admin.script('FLUSH');
    assert.deepEqual((await app.get(QueueService).counts('orders')).dead, 0);
    await app.close();
  });
  await check('a default key is refused where a minifier named the class', async () => {
    const boot = () =>
      NestFactory.createApplicationContext(moduleOf({ imports: [sluice('names')], providers: [Unnamed] }), {
        logger: false,
        abortOnError: false,
      });
    if (Unnamed.name.length > 3) await (await boot()).close();
    else await assert.rejects(boot(), (error) => isSluiceError(error, 'SLUICE_CACHE_KEY_REQUIRED'));
  });
  await scheduled();
  admin.disconnect();
}

void main();
