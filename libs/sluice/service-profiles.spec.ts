import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { until } from '../../test/support/until.js';
import { startRedis, type RedisServer } from '../testing/index.js';
import { CacheService, LockService, QueueService, SluiceModule, TaskHandler, type RedisOptions } from './index.js';

/** What each service refuses. */
const PROFILES = JSON.parse(readFileSync('test/support/service-profiles.json', 'utf8')) as Record<string, string>;

const handled: unknown[] = [];

@Injectable()
class Orders {
  @TaskHandler('orders', { maxAttempts: 3, backoff: 0 })
  async handle(payload: unknown): Promise<void> {
    handled.push(payload);
    await Promise.resolve();
    if (handled.length === 1) throw new Error('once more');
  }

  @TaskHandler('letters')
  async letters(payload: unknown): Promise<void> {
    handled.push(payload);
    await Promise.resolve();
  }
}

let redis: RedisServer;
let admin: Redis;
let app: TestingModule | undefined;
let told: string[];
beforeEach(async () => {
  redis = await startRedis({ slotChecks: false });
  admin = new Redis(redis.url);
  handled.length = 0;
  told = [];
});
afterEach(async () => {
  await app?.close();
  app = undefined;
  admin.disconnect();
  await redis.stop();
});

async function boot(refused: string, redisOptions: RedisOptions = {}): Promise<TestingModule> {
  await admin.call('ACL', 'SETUSER', 'shop', 'on', '>password', '~*', '&*', '+@all', ...refused.split(' '));
  const url = redis.url.replace('//', '//shop:password@');
  const options = { url, bootTimeoutMs: 60_000, ...redisOptions };
  const module = SluiceModule.forRoot({ namespace: 'shop', redis: options, queue: { leaseMs: 1_000 } });
  app = await Test.createTestingModule({ imports: [module], providers: [Orders] }).compile();
  const tell = (message: unknown): void => void told.push(String(message));
  app.useLogger({ log: () => {}, warn: tell, error: tell });
  return app.init();
}

/** Uses each feature, before and after all sockets were lost. */
async function useAll(module: TestingModule): Promise<void> {
  const [locks, cache, queue] = [module.get(LockService), module.get(CacheService), module.get(QueueService)];
  const first = await locks.acquire('job');
  const second = locks.acquire('job', { waitMs: 60_000 });
  await until(async () => (await locks.inspect('job'))?.waiting === 1, { what: 'one waits' });
  await first.release();
  await (await second).release();
  const options = { tags: ['a'], local: true };
  await cache.getOrLoad('k', () => 1, options);
  await cache.invalidateTags('a');
  expect(await cache.getOrLoad('k', () => 2, options)).toBe(2);
  await queue.publish('orders', 1);
  await queue.publish('letters', 2, { delayMs: 1 });
  await until(() => handled.length >= 3, { what: 'one ran twice, and a delayed one ran' });
  await admin.client('KILL', 'USER', 'shop');
  await until(
    () =>
      queue.publish('orders', 3).then(
        () => true,
        () => false,
      ),
    { what: 'it is back' },
  );
  await until(() => handled.length >= 4, { what: 'the queue goes on' });
  await until(() => locks.withLock('job', () => true).catch(() => false), { what: 'locks go on' });
}

describe('with what a service refuses, every feature works', () => {
  it.each(Object.entries(PROFILES))('%s', async (_, refused) => {
    await useAll(await boot(refused));
    expect(told.filter((line) => /may not|NOPERM|refuse/.test(line))).toEqual([]);
  });

  it('a service without INFO and CLIENT, with one warning that names INFO', async () => {
    await useAll(await boot('-client -info', { enableReadyCheck: false }));
    expect(told.filter((line) => /may not|NOPERM|refuse/.test(line))).toEqual([
      expect.stringMatching(/could not be read: INFO answered .*NOPERM/),
    ]);
  });
});

describe('the boot fails and names what is refused', () => {
  it.each<[string, string, RedisOptions, RegExp]>([
    ['a database other than 0', '-select', { db: 1 }, /the server refused SELECT/],
    ['scripts', '-eval -evalsha', { strict: true }, /may not run scripts \(EVAL, EVALSHA\)/],
    ['channels', 'resetchannels', { strict: true }, /may not run SUBSCRIBE, PUBLISH on 'shop::~inbox/],
    ['INFO', '-info', { strict: true, enableReadyCheck: false }, /INFO answered .*NOPERM/],
  ])('%s', async (_, refused, options, message) => {
    await expect(boot(refused, options)).rejects.toMatchObject({
      code: 'SLUICE_REDIS_UNFIT',
      message: expect.stringMatching(message),
    });
  });
});
