import { describe, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { CacheBed } from '../../../test/support/cache-bed.js';
import { HeldLoader } from '../../../test/support/cache-member.js';
import { REDIS_CONNECTIONS, SluiceRedisModule, type RedisConnections } from '../../redis/index.js';
import { CacheEvict } from './cache-evict.decorator.js';
import { CachePut } from './cache-put.decorator.js';
import { CacheStampedeSafe } from './cache-stampede-safe.decorator.js';
import { SluiceCacheModule } from '../cache.module.js';
import type { SluiceCacheModuleOptions } from '../cache.options.js';
import { CacheService } from '../cache.service.js';

const bed = new CacheBed();

@Injectable()
class Shop {
  runs = 0;
  readonly tenant = 'acme';
  readonly source = new HeldLoader();

  @CacheStampedeSafe({
    key: (id: string) => `user:${id}`,
    tags(this: Shop, id: string) {
      return [`user ${id}`, this.tenant];
    },
    resultTags: (user: { team: string }) => [`team ${user.team}`],
  })
  async user(id: string): Promise<{ id: string; team: string; run: number }> {
    return { id, team: `t${id}`, run: ++this.runs };
  }

  @CacheStampedeSafe({ key: (id: string) => `slow:${id}`, tags: ['slow'], maxConcurrentLoads: 1 })
  async slow(id: string): Promise<unknown> {
    return this.source.load({ key: id, signal: AbortSignal.abort() });
  }

  @CachePut({ key: 'name' })
  async rename(): Promise<string> {
    return Promise.resolve('name');
  }

  @CacheEvict({ key: 'name' })
  async drop(): Promise<void> {
    return Promise.resolve();
  }

  @CacheStampedeSafe({ key: () => 'bad', tags: () => 'none' as never })
  async bad(): Promise<number> {
    return 1;
  }
}

async function boot(cache: SluiceCacheModuleOptions = {}): Promise<{ app: TestingModule; warn: jest.Mock }> {
  const app = await Test.createTestingModule({
    imports: [
      SluiceRedisModule.forRoot({ redis: { url: bed.redis.url } }),
      SluiceCacheModule.forRootAsync({ useFactory: () => cache }),
    ],
    providers: [Shop],
  }).compile();
  const warn = jest.fn();
  app.get<RedisConnections>(REDIS_CONNECTIONS).logger.warn = warn;
  return { app: await app.init(), warn };
}

describe('@CacheStampedeSafe', () => {
  it('takes tags from the arguments, the object, the result, and the configuration', async () => {
    const { app } = await boot({ methods: { 'Shop.user': { tags: ['configured'] } } });
    const [shop, cache] = [app.get(Shop), app.get(CacheService)];
    expect((await shop.user('7')).run).toBe(1);
    for (const tag of ['user 7', 'acme', 'team t7', 'configured']) {
      const before = await shop.user('7');
      await cache.invalidateTags('user 8', 'team t8');
      expect(await shop.user('7')).toEqual(before);
      await cache.invalidateTags(tag);
      expect((await shop.user('7')).run).toBe(before.run + 1);
    }
    await expect(shop.bad()).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
      message: expect.stringContaining('Shop.bad'),
    });
    await app.close();
  });

  it('limits loads by method, which is the source unless it names one', async () => {
    const { app } = await boot();
    const shop = app.get(Shop);
    const calls = [shop.slow('a'), shop.slow('b')];
    await shop.source.run();
    expect(await bed.admin.zcard('{cache}~slots:Shop.slow')).toBe(1);
    shop.source.runs[0]!.succeed(1);
    (await shop.source.run(2)).succeed(2);
    expect((await Promise.all(calls)).sort()).toEqual([1, 2]);
    await app.close();
  });
});

describe('cache.methods', () => {
  it('that no method has are warned of at boot, with those that there are', async () => {
    const { app, warn } = await boot({ methods: { 'Shop.usre': { ttlMs: 1 }, 'Shop.user': { ttlMs: 5 } } });
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn).toHaveBeenCalledWith(expect.stringMatching(/^cache\.methods.*'Shop\.usre'.*Shop\.user, Shop\.slow/));
    expect(warn.mock.calls[0]![0]).not.toContain("'Shop.user'");
    await app.close();
    const fine = await boot({
      methods: { 'Shop.user': { ttlMs: 5 }, 'Shop.rename': { ttlMs: 5 }, 'Shop.drop': { version: 'v2' } },
    });
    expect(fine.warn).not.toHaveBeenCalled();
    await fine.app.close();
  });
});
