import { expect, describe, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { CacheBed } from '../../../test/support/cache-bed.js';
import { SluiceRedisModule } from '../../redis/index.js';
import { SluiceCacheModule } from '../cache.module.js';
import { CacheService } from '../cache.service.js';
import { CachePut } from './cache-put.decorator.js';
import { CacheStampedeSafe } from './cache-stampede-safe.decorator.js';

const bed = new CacheBed();
const ttls = { ttlMs: 600_000, negativeTtlMs: 5_000, jitter: 0 };

@Injectable()
class Users {
  runs = 0;

  @CachePut({ key: (id: string) => `user:${id}`, ...ttls })
  async save(_id: string, result: unknown): Promise<unknown> {
    return Promise.resolve(result);
  }

  // @ts-expect-error JavaScript, and a cast, come by the types
  @CachePut({ key: (id: string) => `user:${id}`, ...ttls })
  async touch(_id: string): Promise<void> {
    return Promise.resolve();
  }

  @CacheStampedeSafe({ key: 'sync', ...ttls })
  async sync(): Promise<void> {
    this.runs++;
    return Promise.resolve();
  }
}

async function using(work: (users: Users, cache: CacheService) => Promise<void>): Promise<void> {
  const module = await Test.createTestingModule({
    imports: [
      SluiceRedisModule.forRoot({ namespace: 'shop', redis: { url: bed.redis.url } }),
      SluiceCacheModule.forRoot({}),
    ],
    providers: [Users],
  }).compile();
  const app = await module.init();
  try {
    await work(app.get(Users), app.get(CacheService));
  } finally {
    await app.close();
  }
}

/** What a reader gets, and whether it had to load. */
async function read(cache: CacheService, key: string): Promise<unknown> {
  return cache.getOrLoad<unknown>(key, () => 'loaded');
}

describe('a result that is nothing', () => {
  it.each([null, undefined])('(%s) is stored by @CachePut as "there is none", for negativeTtlMs', (nothing) =>
    using(async (users, cache) => {
      await users.save('7', { name: 'Ada' });
      expect(await users.save('7', nothing)).toBe(nothing);
      expect(await read(cache, 'user:7')).toBe(nothing);
      const leftMs = await bed.admin.pttl('{shop:cache}:user:7');
      expect(leftMs).toBeGreaterThan(0);
      expect(leftMs).toBeLessThanOrEqual(5_000);
    }),
  );

  it('is what a method without a result has', () =>
    using(async (users, cache) => {
      await users.save('7', { name: 'Ada' });
      await users.touch('7');
      expect(await read(cache, 'user:7')).toBeUndefined();
    }));

  it('is cached by @CacheStampedeSafe: the body runs once in negativeTtlMs', () =>
    using(async (users, cache) => {
      expect(await Promise.all([users.sync(), users.sync()])).toEqual([undefined, undefined]);
      await users.sync();
      expect(users.runs).toBe(1);
      expect(await bed.admin.pttl('{shop:cache}:sync')).toBeLessThanOrEqual(5_000);
      await cache.delete('sync');
      await users.sync();
      expect(users.runs).toBe(2);
    }));
});
