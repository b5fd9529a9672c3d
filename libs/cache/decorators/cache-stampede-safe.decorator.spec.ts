import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Inject,
  Injectable,
  Module,
  Optional,
  Scope,
  type DynamicModule,
  type INestApplicationContext,
  type Provider,
} from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { keysLeft } from '../../../test/support/cache-bed.js';
import { RedisConnections, SluiceRedisModule } from '../../redis/index.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { bindSluice } from '../../weave/index.js';
import { CacheStampedeSafe } from './cache-stampede-safe.decorator.js';
import { SluiceCacheModule } from '../cache.module.js';
import type { SluiceCacheModuleOptions } from '../cache.options.js';
import { CacheService } from '../cache.service.js';
import { CACHE_SERVICE } from '../cache.tokens.js';

let redis: RedisServer;
let admin: Redis;
const apps: INestApplicationContext[] = [];
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});
beforeEach(() => admin.flushall());
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
});

interface Boot {
  namespace?: string;
  cache?: SluiceCacheModuleOptions;
  modules?: DynamicModule[];
}

async function boot(
  providers: Provider[],
  { namespace, cache, modules = [] }: Boot = {},
): Promise<INestApplicationContext> {
  const app = await Test.createTestingModule({
    imports: [
      SluiceRedisModule.forRoot({ redis: { url: redis.url }, ...(namespace !== undefined && { namespace }) }),
      SluiceCacheModule.forRootAsync({ useFactory: () => cache ?? {} }),
      ...modules,
    ],
    providers,
  }).compile();
  apps.push(app);
  return app.init();
}

const keyRequired = (site: string, why: string) =>
  expect.objectContaining({
    code: 'SLUICE_CACHE_KEY_REQUIRED',
    message: expect.stringMatching(new RegExp(`^${site} needs a key.*${why}`)),
  });

describe('@CacheStampedeSafe with a key', () => {
  @Injectable()
  class Shop {
    runs = 0;
    readonly tenant = 'acme';

    @CacheStampedeSafe({ key: (id: string) => `user:${id}`, ttlMs: 5_000 })
    async user(id: string, verbose = false): Promise<{ id: string; verbose: boolean; run: number }> {
      return { id, verbose, run: ++this.runs };
    }

    @CacheStampedeSafe({
      key(this: Shop, id: string) {
        return `${this.tenant}:${id}`;
      },
    })
    async ofTenant(id: string): Promise<string> {
      return id;
    }

    @CacheStampedeSafe({ key: () => '' })
    async nameless(): Promise<string> {
      return 'never';
    }

    @CacheStampedeSafe({ key: () => undefined as unknown as string })
    async undefinedKey(): Promise<string> {
      return 'never';
    }

    @CacheStampedeSafe({ key: () => 'failing', errorBackoffMs: 0 })
    async failing(error: Error): Promise<never> {
      return Promise.reject(error);
    }
  }

  it('runs the body once per key, and caches what it returned', async () => {
    const shop = (await boot([Shop])).get(Shop);
    const users = await Promise.all(Array.from({ length: 100 }, () => shop.user('7', true)));
    expect(users).toEqual(Array(100).fill({ id: '7', verbose: true, run: 1 }));
    expect(await shop.user('7')).toEqual({ id: '7', verbose: true, run: 1 });
    expect(await shop.user('8')).toEqual({ id: '8', verbose: false, run: 2 });
    expect((await keysLeft(admin)).sort()).toEqual(['{cache}:user:7', '{cache}:user:8']);
    expect(await admin.pttl('{cache}:user:7')).toBeLessThanOrEqual(5_000);
  });

  it('may use the object, and speaks of the same keys as the service', async () => {
    const app = await boot([Shop], { namespace: 'shop' });
    expect(await app.get(Shop).ofTenant('7')).toBe('7');
    expect(await keysLeft(admin)).toEqual(['{shop:cache}:acme:7']);
    expect(await app.get(CacheService).delete('acme:7')).toBe(true);
    expect(await keysLeft(admin)).toEqual([]);
  });

  it('is shared by the processes of the fleet', async () => {
    const [one, other] = [(await boot([Shop])).get(Shop), (await boot([Shop])).get(Shop)];
    await Promise.all([one.user('7'), other.user('7')]);
    expect(one.runs + other.runs).toBe(1);
  });

  it('refuses a key that is none', async () => {
    const shop = (await boot([Shop])).get(Shop);
    await expect(shop.nameless()).rejects.toMatchObject({ code: 'SLUICE_BAD_NAME' });
    await expect(shop.undefinedKey()).rejects.toMatchObject({ code: 'SLUICE_BAD_NAME' });
  });

  it("lets the body's error through as it is", async () => {
    const shop = (await boot([Shop])).get(Shop);
    const error = new Error('mine');
    await expect(shop.failing(error)).rejects.toBe(error);
  });

  it('takes the options that configuration has for a method', async () => {
    const app = await boot([Shop], { cache: { ttlMs: 1_000, methods: { 'Shop.user': { ttlMs: 40_000 } } } });
    await app.get(Shop).user('7');
    await app.get(Shop).ofTenant('8');
    expect(await admin.pttl('{cache}:user:7')).toBeGreaterThan(30_000);
    expect(await admin.pttl('{cache}:acme:8')).toBeLessThanOrEqual(1_000);
  });

  it('works on request-scoped providers and on objects that Nest never saw', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Cart extends Shop {}
    const app = await boot([Cart]);
    expect(await (await app.resolve(Cart)).user('9')).toMatchObject({ id: '9' });
    expect(await bindSluice(new Shop(), app).user('9')).toMatchObject({ id: '9' });
  });

  it.each<[string, unknown]>([
    ['ttlMs', { ttlMs: -1 }],
    ['ttl', { ttl: 5 }],
    ['key', { key: '' }],
  ])('refuses a bad %s where it stands', (name, options) => {
    expect(() => CacheStampedeSafe(options as never)).toThrow(
      expect.objectContaining({
        code: 'SLUICE_BAD_OPTION',
        message: expect.stringContaining(`@CacheStampedeSafe options.${name} `),
      }),
    );
  });
});

describe('@CacheStampedeSafe without a key', () => {
  @Injectable()
  class Catalog {
    runs = 0;

    @CacheStampedeSafe()
    async find(filter: { tags: string[]; max?: number }, page = 1): Promise<string> {
      this.runs++;
      return `${filter.tags.join()} ${page}`;
    }
  }

  it('makes one of namespace, class, method and arguments', async () => {
    const catalog = (await boot([Catalog], { namespace: 'shop' })).get(Catalog);
    await catalog.find({ tags: ['a'], max: 1 });
    await catalog.find({ max: 1, tags: ['a'] });
    await catalog.find({ tags: ['a'], max: 2 });
    expect(catalog.runs).toBe(2);
    expect((await keysLeft(admin)).sort()).toEqual([
      '{shop:cache}:Catalog.find:3-SwyZ___7VgnvOSpIl5FJ',
      '{shop:cache}:Catalog.find:T5EpGVqWYlDgQoou63g-Vl',
    ]);
  });

  it('fails the call, not the others, where an argument is no data', async () => {
    const catalog = (await boot([Catalog], { namespace: 'shop' })).get(Catalog);
    const call = catalog.find({ tags: ['a'], max: (() => 1) as never });
    await expect(call).rejects.toMatchObject({
      code: 'SLUICE_CACHE_BAD_ARGUMENTS',
      message: expect.stringContaining('argument 1, its .max, is a function'),
    });
    expect(catalog.runs).toBe(0);
  });

  it('tells an override from what it inherits, which it may call', async () => {
    @Injectable()
    class Sale extends Catalog {
      @CacheStampedeSafe()
      override async find(filter: { tags: string[] }): Promise<string> {
        return `sale of ${await super.find(filter)}`;
      }
    }
    @Injectable()
    class Plain extends Catalog {}
    const app = await boot([Catalog, Sale, Plain], { namespace: 'shop' });
    expect(await app.get(Sale).find({ tags: ['a'] })).toBe('sale of a 1');
    expect(await app.get(Plain).find({ tags: ['a'] })).toBe('a 1');
    expect(await app.get(Catalog).find({ tags: ['a'] })).toBe('a 1');
    expect((await keysLeft(admin)).map((key) => key.replace(/:[^:]*$/, '')).sort()).toEqual([
      '{shop:cache}:Catalog.find',
      '{shop:cache}:Plain:Catalog.find',
      '{shop:cache}:Sale.find',
      '{shop:cache}:Sale:Catalog.find',
    ]);
  });

  it('tells an override from what it inherits also where both classes have one name', async () => {
    const Base = Catalog;
    const namesake = (() => {
      @Injectable()
      class Catalog extends Base {
        @CacheStampedeSafe()
        override async find(filter: { tags: string[] }): Promise<string> {
          return `sale of ${await super.find(filter)}`;
        }
      }
      return Catalog;
    })();
    const catalog = (await boot([namesake], { namespace: 'shop' })).get(namesake);
    expect(await catalog.find({ tags: ['a'] })).toBe('sale of a 1');
  });

  it('fails the boot without a namespace', async () => {
    await expect(boot([Catalog])).rejects.toEqual(keyRequired('Catalog.find', 'without a namespace'));
  });

  it.each([
    ['request', Scope.REQUEST],
    ['transient', Scope.TRANSIENT],
  ] as const)('fails the boot on a %s-scoped provider', async (name, scope) => {
    @Injectable({ scope })
    class Scoped extends Catalog {}
    await expect(boot([Scoped], { namespace: 'shop' })).rejects.toEqual(keyRequired('Scoped.find', `are ${name}`));
  });

  it('fails the boot for two classes of one name', async () => {
    const other = (() => {
      @Injectable()
      class Catalog {
        @CacheStampedeSafe()
        async find(): Promise<string> {
          return 'other';
        }
      }
      return Catalog;
    })();
    const call = boot([Catalog, other], { namespace: 'shop' });
    await expect(call).rejects.toEqual(keyRequired('Catalog.find', 'the same name'));
  });

  describe('where a class is provided twice', () => {
    @Injectable()
    class Prices {
      constructor(@Optional() @Inject('tenant') private readonly tenant: string) {}

      @CacheStampedeSafe()
      async find(id: string): Promise<string> {
        return `${id} of ${this.tenant}`;
      }

      @CacheStampedeSafe()
      async list(): Promise<string> {
        return this.tenant;
      }
    }
    const prices = (tenant: string): Provider => ({
      provide: `${tenant} prices`,
      useFactory: () => new Prices(tenant),
    });
    @Module({})
    class TenantModule {}
    const tenantModule = (tenant: string): DynamicModule => ({
      module: TenantModule,
      providers: [{ provide: 'tenant', useValue: tenant }, Prices],
    });

    it.each<[string, Provider[], DynamicModule[]]>([
      ['by two factories', [prices('a'), prices('b')], []],
      ['by two modules', [], [tenantModule('a'), tenantModule('b')]],
      ['by Nest and as a value', [Prices, { provide: 'value', useValue: new Prices('b') }], []],
    ])('fails the boot, %s: the objects would share what they load', async (_how, providers, modules) => {
      const call = boot(providers, { namespace: 'shop', modules });
      await expect(call).rejects.toEqual(keyRequired('Prices.find', 'provided more than once.*export it'));
    });

    it('boots with one object under two tokens', async () => {
      const shared = [Prices, { provide: 'alias', useExisting: Prices }, { provide: 'tenant', useValue: 'a' }];
      const again = { provide: 'made', inject: [Prices], useFactory: (one: Prices) => one };
      const app = await boot([...shared, again], { namespace: 'shop' });
      expect(await app.get<Prices>('made').find('1')).toBe('1 of a');
      expect(await app.get<Prices>('alias').list()).toBe('a');
    });
  });

  it('refuses to bind an object, which may be one of many', async () => {
    const app = await boot([Catalog], { namespace: 'shop' });
    expect(() => bindSluice(new Catalog(), app)).toThrow(keyRequired('Catalog.find', 'are transient'));
  });
});

describe('SluiceCacheModule', () => {
  it('refuses bad options and unknown connections', async () => {
    const connections = new RedisConnections({ redis: { url: redis.url } });
    const make = (options: SluiceCacheModuleOptions) => () => new CacheService(connections, options);
    expect(make({ leaseMs: NaN })).toThrow(expect.objectContaining({ code: 'SLUICE_BAD_OPTION' }));
    expect(make({ connection: 'nowhere' })).toThrow(expect.objectContaining({ code: 'SLUICE_UNKNOWN_CONNECTION' }));
    await connections.onApplicationShutdown();
  });

  it('provides the service under its class and its token, with its options', async () => {
    const app = await boot([], { cache: { ttlMs: 700 } });
    expect(app.get(CACHE_SERVICE)).toBe(app.get(CacheService));
    await app.get(CacheService).set('k', 1);
    expect(await admin.pttl('{cache}:k')).toBeLessThanOrEqual(700);
  });
});
