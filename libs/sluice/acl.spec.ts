import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { ACL_LINES, linesOfSecurityPage, type RuleName } from '../../test/acl-rules.js';
import { until } from '../../test/support/until.js';
import { startRedis, type RedisServer } from '../testing/index.js';
import {
  CacheService,
  LockService,
  QueueService,
  RateLimitService,
  REDIS_CONNECTIONS,
  SluiceModule,
  TaskHandler,
  defineRateLimit,
  type RedisConnections,
  type SluiceFeature,
} from './index.js';

const handled: unknown[] = [];

@Injectable()
class Orders {
  @TaskHandler('orders')
  async handle(payload: unknown): Promise<void> {
    handled.push(payload);
    await Promise.resolve();
    if (handled.length === 1) throw new Error('once more');
  }
}

it('the rules of SECURITY.md are made of the rights of the features', () => {
  // Put the expected lines there if this fails.
  expect(linesOfSecurityPage()).toEqual(ACL_LINES.map(([, rule]) => rule));
});

describe('the rights that SECURITY.md names are enough for', () => {
  let redis: RedisServer;
  let admin: Redis;
  let app: TestingModule | undefined;
  beforeEach(async () => {
    redis = await startRedis();
    admin = new Redis(redis.url);
    handled.length = 0;
  });
  afterEach(async () => {
    await app?.close();
    admin.disconnect();
    await redis.stop();
  });

  const uses: Record<SluiceFeature, (app: TestingModule) => Promise<unknown>> = {
    lock: async (app) => {
      const locks = app.get(LockService);
      const first = await locks.acquire('{tenant}:job');
      const second = locks.acquire('{tenant}:job', { waitMs: 10_000 });
      await until(async () => (await locks.inspect('{tenant}:job'))?.waiting === 1, { what: 'one waits' });
      await first.release();
      await (await second).release();
      await locks.withLock('job', () => locks.forceRelease('job')).catch(() => {});
    },
    cache: async (app) => {
      const cache = app.get(CacheService);
      const options = { tags: ['a'], local: true, maxConcurrentLoads: 2, staleMs: 1_000 };
      expect(await cache.getOrLoad('k', () => 1, options)).toBe(1);
      await cache.set('l', 2, { tags: ['a'] });
      await cache.invalidateTags('a');
      await cache.delete('k');
      await cache.clear();
    },
    queue: async (app) => {
      const queue = app.get(QueueService);
      await queue.publish('orders', 1);
      await until(() => handled.length === 2, { what: 'it ran again' });
      await queue.publish('orders', 2, { delayMs: 1 });
      await until(() => handled.length === 3, { what: 'a delayed one ran' });
      await queue.pause('orders');
      await queue.resume('orders');
      await queue.counts('orders');
    },
    limit: async (app) => {
      const limits = app.get(RateLimitService);
      const api = defineRateLimit('api', { limit: 10, perMs: 60_000 });
      const reservation = await limits.reserve(api, 'tenant', 2);
      await reservation.settle(3);
      await limits.block(api, 'tenant', 1_000);
      expect((await limits.peek(api, 'tenant')).remaining).toBe(0);
      await limits.reset(api, 'tenant');
      expect((await limits.consume(api, 'tenant')).remaining).toBe(9);
    },
  };

  it.each<[RuleName, SluiceFeature[]]>([
    ['every feature', ['lock', 'cache', 'queue', 'limit']],
    ['locks', ['lock']],
    ['the cache', ['cache']],
    ['a queue', ['queue']],
    ['rate limits', ['limit']],
  ])('%s', async (what, features) => {
    const line = ACL_LINES.find(([name]) => name === what)![1];
    await admin.acl('SETUSER', 'shop', ...line.split(' '));
    const url = redis.url.replace('//', '//shop:password@');
    const module = SluiceModule.forRoot({ namespace: 'shop', redis: { url, strict: true }, features });
    app = await Test.createTestingModule({
      imports: [module],
      providers: features.includes('queue') ? [Orders] : [],
    }).compile();
    await app.init();
    for (const feature of features) await uses[feature](app);
    const { stats } = app.get<RedisConnections>(REDIS_CONNECTIONS).get();
    await app.close();
    app = undefined;
    expect(stats.refused).toBe(0);
    expect(await admin.acl('LOG')).toEqual([]);
  });
});
