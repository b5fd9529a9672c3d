import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  Inject,
  Injectable,
  Logger,
  Module,
  type DynamicModule,
  type OnModuleDestroy,
  type Type,
} from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { keysLeft } from '../../test/support/cache-bed.js';
import { until } from '../../test/support/until.js';
import { startRedis, type RedisServer } from '../testing/index.js';
import {
  CacheService,
  LockService,
  QueueService,
  CacheStampedeSafe,
  SluiceCacheModule,
  SluiceLockModule,
  SluiceModule,
  SluiceQueueModule,
  SluiceRedisModule,
  TaskHandler,
  WithLock,
  type SluiceOptions,
} from './index.js';

let redis: RedisServer;
let admin: Redis;
const apps: TestingModule[] = [];
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
});
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
  await admin.flushall();
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

async function boot(...imports: (DynamicModule | Type)[]): Promise<TestingModule> {
  const app = await Test.createTestingModule({ imports }).compile();
  apps.push(app);
  return app.init();
}

/** Uses all three services of an app, and answers the keys that this left in Redis. */
async function use(app: TestingModule): Promise<string[]> {
  await app.get(LockService).withLock('job', () => {});
  await app.get(CacheService).getOrLoad('k', () => 1);
  await app.get(QueueService).publish('tasks', {});
  return keysLeft(admin);
}

@Injectable()
class Config {
  createSluiceOptions(): SluiceOptions {
    return { namespace: 'shop', redis: { url: redis.url } };
  }
}
@Module({ providers: [Config], exports: [Config] })
class ConfigModule {}

describe('SluiceModule', () => {
  it('brings the three services, under one namespace', async () => {
    const keys = await use(await boot(SluiceModule.forRoot({ namespace: 'shop', redis: { url: redis.url } })));
    expect(keys).toEqual(['shop:tasks', '{shop:cache}:k', '{shop:lock:job}:~fence']);
  });

  it.each<[string, () => DynamicModule]>([
    [
      'a factory',
      () =>
        SluiceModule.forRootAsync({
          imports: [ConfigModule],
          inject: [Config],
          useFactory: (config: Config) => config.createSluiceOptions(),
        }),
    ],
    ['a class', () => SluiceModule.forRootAsync({ useClass: Config })],
    ['an existing provider', () => SluiceModule.forRootAsync({ imports: [ConfigModule], useExisting: Config })],
  ])('takes its options from %s', async (_, module) => {
    expect(await use(await boot(module()))).toContain('shop:tasks');
  });

  it('gives features different servers', async () => {
    const other = await startRedis();
    try {
      const connections = { default: { url: redis.url }, cache: { url: other.url } };
      const app = await boot(SluiceModule.forRoot({ redis: { connections }, cache: { connection: 'cache' } }));
      expect(await use(app)).toEqual(['tasks', '{lock:job}:~fence']);
    } finally {
      for (const app of apps.splice(0)) await app.close();
      await other.stop();
    }
  });

  it('loads only the features that are asked for', async () => {
    const app = await boot(SluiceModule.forRoot({ redis: { url: redis.url }, features: ['lock'] }));
    await app.get(LockService).withLock('job', () => {});
    expect(() => app.get(QueueService)).toThrow();
    expect(() => app.get(CacheService)).toThrow();
  });

  it('serves every module, or with isGlobal: false those that import it', async () => {
    @Injectable()
    class Consumer {
      constructor(@Inject(LockService) readonly locks: LockService) {}
    }
    @Module({ providers: [Consumer] })
    class Elsewhere {}
    const global = await boot(Elsewhere, SluiceModule.forRoot({ redis: { url: redis.url } }));
    expect(global.get(Consumer, { strict: false }).locks).toBeInstanceOf(LockService);

    const local = SluiceModule.forRoot({ redis: { url: redis.url }, isGlobal: false });
    await expect(boot(Elsewhere, local)).rejects.toThrow("can't resolve dependencies of the Consumer");
    @Module({ imports: [local], providers: [Consumer] })
    class Here {}
    expect((await boot(Here)).get(Consumer, { strict: false }).locks).toBeInstanceOf(LockService);
  });

  it.each<[string, () => DynamicModule, string, string]>([
    ['an unknown option', () => SluiceModule.forRoot({ lokc: {} } as never), 'SLUICE_BAD_OPTION', 'SluiceModule.lokc'],
    [
      'an unknown feature',
      () => SluiceModule.forRoot({ features: ['locks' as never] }),
      'SLUICE_BAD_OPTION',
      'SluiceModule.features',
    ],
    ['no way to the options', () => SluiceModule.forRootAsync({}), 'SLUICE_BAD_OPTION', 'useFactory'],
    [
      'an unknown connection',
      () => SluiceModule.forRoot({ redis: { url: redis.url }, queue: { connection: 'other' } }),
      'SLUICE_UNKNOWN_CONNECTION',
      "no Redis connection 'other'",
    ],
    [
      'a lease of nothing',
      () => SluiceModule.forRoot({ redis: { url: redis.url }, lock: { ttlMs: 0 } }),
      'SLUICE_BAD_OPTION',
      'lock.ttlMs',
    ],
    ['a namespace with braces', () => SluiceModule.forRoot({ namespace: '{a}' }), 'SLUICE_BAD_NAME', 'namespace'],
    [
      'a factory that returns nothing',
      () => SluiceModule.forRootAsync({ useFactory: () => undefined as never }),
      'SLUICE_BAD_OPTION',
      'SluiceModule got no options',
    ],
    [
      'a second import',
      () => {
        const again = SluiceModule.forRoot({ redis: { url: redis.url }, lock: { ttlMs: 1_000 } });
        const once = SluiceModule.forRoot({ redis: { url: redis.url } });
        return { ...once, imports: [...(once.imports ?? []), again] };
      },
      'SLUICE_BAD_OPTION',
      'imported twice in one app',
    ],
  ])('refuses %s, naming it', async (_, module, code, message) => {
    await expect((async () => boot(module()))()).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  });

  it.each<[string, () => (DynamicModule | Type)[], string[]]>([
    [
      'and a handler',
      () => [SluiceModule.forRoot({ redis: { url: redis.url }, features: ['lock'] })],
      [
        "Nothing calls Orders.process (@TaskHandler('orders')) in this app. " +
          "Import SluiceModule with 'queue' among its features, or SluiceQueueModule, or leave these providers out",
      ],
    ],
    [
      'of their own module and a handler',
      () => [SluiceRedisModule.forRoot({ redis: { url: redis.url } }), SluiceLockModule.forRoot({})],
      [
        "Nothing calls Orders.process (@TaskHandler('orders')) in this app. " +
          "Import SluiceModule with 'queue' among its features, or SluiceQueueModule, or leave these providers out",
      ],
    ],
    [
      'beside a queue module of its own',
      () => [SluiceModule.forRoot({ redis: { url: redis.url }, features: ['lock'] }), SluiceQueueModule.forRoot()],
      [],
    ],
    ['but with queues', () => [SluiceModule.forRoot({ redis: { url: redis.url } })], []],
  ])('warns at boot of handlers without the queue feature: locks %s', async (_, imports, expected) => {
    @Injectable()
    class Orders {
      @TaskHandler('orders')
      process(): Promise<void> {
        return Promise.resolve();
      }
    }
    @Module({ providers: [Orders, { provide: 'alias', useExisting: Orders }, { provide: 'value', useValue: 1 }] })
    class OrdersModule {}
    const warnings: string[] = [];
    const spy = jest
      .spyOn(Logger.prototype, 'warn')
      .mockImplementation((line: unknown) => void warnings.push(String(line)));
    try {
      await boot(OrdersModule, ...imports());
    } finally {
      spy.mockRestore();
    }
    expect(warnings.filter((line) => line.includes('Nothing calls'))).toEqual(expected);
  });

  it('takes modules of single features without options, and as classes', async () => {
    const redisModule = (): DynamicModule => SluiceRedisModule.forRoot({ redis: { url: redis.url } });
    for (const imports of [
      [SluiceLockModule.forRoot(), SluiceCacheModule.forRoot(), SluiceQueueModule.forRoot()],
      [SluiceLockModule, SluiceCacheModule, SluiceQueueModule.forRoot()],
    ]) {
      const app = await boot(redisModule(), ...imports);
      expect(await app.get(LockService).withLock('job', (lock) => lock.held)).toBe(true);
      expect(await app.get(CacheService).getOrLoad('k', () => 1)).toBe(1);
    }
    const app = await boot(redisModule(), SluiceLockModule.forRoot({ waitMs: 0 }));
    await app.get(LockService).acquire('x');
    await expect(app.get(LockService).acquire('x')).rejects.toMatchObject({ waitedMs: 0 });
  });

  it.each([
    ['SluiceModule', () => [SluiceModule]],
    ['SluiceRedisModule', () => [SluiceRedisModule]],
    ['SluiceQueueModule', () => [SluiceRedisModule.forRoot({ redis: { url: redis.url } }), SluiceQueueModule]],
  ])('refuses the class alone of %s, and says what to import', async (name, imports) => {
    await expect(boot(...imports())).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
      message: expect.stringContaining(`Import ${name}.forRoot({ … }), and not the class alone`),
    });
  });

  it.each([
    ['lock', 'cache', WithLock('x') as MethodDecorator],
    ['cache', 'lock', CacheStampedeSafe({ key: 'x' }) as MethodDecorator],
  ] as const)('names the feature %s where its decorator is used without it', async (missing, given, decorate) => {
    @Injectable()
    class Shop {
      @decorate
      settle(): Promise<void> {
        return Promise.resolve();
      }
    }
    @Module({ providers: [Shop] })
    class ShopModule {}
    @Module({ providers: [{ provide: 'shop', useFactory: () => new Shop() }] })
    class MadeShopModule {}
    // Nest constructs the object of the first module. Sluice binds that of the second.
    for (const shop of [ShopModule, MadeShopModule]) {
      const booting = boot(shop, SluiceModule.forRoot({ redis: { url: redis.url }, features: [given] }));
      await expect(booting).rejects.toThrow(`If its features are listed, add '${missing}'`);
    }
  });

  it('drains tasks before the modules that handlers depend on go down', async () => {
    const order: string[] = [];
    let started = (): void => {};
    const running = new Promise<void>((resolve) => (started = resolve));
    let finish = (): void => {};
    const finishing = new Promise<void>((resolve) => (finish = resolve));

    @Injectable()
    class Database implements OnModuleDestroy {
      onModuleDestroy(): void {
        order.push('database down');
      }
    }
    @Module({ providers: [Database], exports: [Database] })
    class DatabaseModule {}
    @Injectable()
    class Handlers {
      constructor(@Inject(Database) readonly database: Database) {}
      @TaskHandler('tasks')
      async handle(): Promise<void> {
        started();
        await finishing;
        order.push('task done');
      }
    }
    @Module({ imports: [DatabaseModule], providers: [Handlers] })
    class OrdersModule {}

    const app = await boot(DatabaseModule, OrdersModule, SluiceModule.forRoot({ redis: { url: redis.url } }));
    await app.get(QueueService).publish('tasks', {});
    await running;
    const closed = app.close();
    setImmediate(finish);
    await closed;
    apps.length = 0;
    expect(order).toEqual(['task done', 'database down']);
    expect(await admin.xlen('tasks')).toBe(0);
  });

  it('leaves no socket behind', async () => {
    const clients = async (): Promise<number> =>
      String(await admin.client('LIST'))
        .trim()
        .split('\n').length - 1;
    await until(async () => (await clients()) === 0, { what: 'earlier apps are gone' });
    const app = await boot(SluiceModule.forRoot({ redis: { url: redis.url } }));
    expect(await clients()).toBe(2);
    await use(app);
    expect(await clients()).toBe(2);
    await app.close();
    apps.length = 0;
    await until(async () => (await clients()) === 0, { what: 'its sockets are closed' });
  });
});
