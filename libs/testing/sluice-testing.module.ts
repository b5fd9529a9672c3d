import { Module, type DynamicModule, type OnModuleDestroy, Inject } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { CACHE_SERVICE, CacheService, type SluiceCacheModuleOptions } from '../cache/index.js';
import { CronJobs } from '../lock/cron/cron-jobs.js';
import { LIMIT_SERVICE, RateLimitService, type SluiceLimitModuleOptions } from '../limit/index.js';
import { RateLimitExplorer } from '../limit/decorators/rate-limit.explorer.js';
import { LIMIT_OPTIONS, LIMIT_STORE } from '../limit/limit.tokens.js';
import { LockService, LOCK_SERVICE, type SluiceLockModuleOptions } from '../lock/index.js';
import { LOCK_OPTIONS, LOCK_STORE } from '../lock/lock.tokens.js';
import { HandlerCalls } from '../queue/handlers/handler-calls.js';
import { HandlerRegistry } from '../queue/handlers/handler.registry.js';
import { QUEUE_OPTIONS } from '../queue/queue.tokens.js';
import { QUEUE_SERVICE, QueueService, type SluiceQueueModuleOptions } from '../queue/index.js';
import { resolveQueueOptions } from '../queue/queue.options.js';
import { TaskHandlerExplorer } from '../queue/decorators/task-handler.explorer.js';
import { REDIS_CONNECTIONS, SLUICE_CLOCK, type Clock, type RedisConnections } from '../redis/index.js';
import { WeaveModule, injectedProvider } from '../weave/index.js';
import { NoRedis } from './in-process/no-redis.js';
import { TestingClock } from './in-process/testing-clock.js';
import { TestingQueue } from './in-process/testing-queue.js';
import { inProcessCache, inProcessLimits, inProcessLocks } from './in-process/in-process-services.js';
import { overrideWithoutRedis, type OverridableModule } from './override-without-redis.js';

export interface SluiceTestingOptions {
  /** The namespace, as in the app's own options. Default `'test'`. */
  namespace?: string;
  lock?: SluiceLockModuleOptions;
  cache?: SluiceCacheModuleOptions;
  queue?: SluiceQueueModuleOptions;
  limit?: SluiceLimitModuleOptions;
}

/**
 * Sluice without Redis, for tests of an app: the same decorators and services, within this process.
 *
 * Locks exclude, wait in order, renew and have growing fencing tokens. The cache loads once, keeps values and shares
 * errors, with the same codec. Rate limits are exact. `publish` records tasks and `TestingQueue.drain()` runs the handlers. `TestingClock.advance()`
 * lets time pass. To test several processes, or a Redis that fails, use a real server: `startRedis()`.
 *
 * If the tested module imports `SluiceModule` itself, use {@link SluiceTestingModule.override}.
 *
 * @example
 * const app = await Test.createTestingModule({ imports: [ShopModule, SluiceTestingModule.forRoot()] }).compile();
 * await app.init();
 * await app.get(ShopService).order(book);
 * await app.get(TestingQueue).drain();
 */
@Module({})
export class SluiceTestingModule implements OnModuleDestroy {
  readonly #connections: RedisConnections;

  constructor(@Inject(REDIS_CONNECTIONS) connections: RedisConnections) {
    this.#connections = connections;
  }

  static forRoot(options: SluiceTestingOptions = {}): DynamicModule {
    return {
      module: SluiceTestingModule,
      global: true,
      imports: [WeaveModule, DiscoveryModule],
      providers: [
        TestingClock,
        { provide: SLUICE_CLOCK, useExisting: TestingClock },
        {
          provide: REDIS_CONNECTIONS,
          inject: [SLUICE_CLOCK],
          useFactory: (clock: Clock) => new NoRedis(options.namespace ?? 'test', clock),
        },
        ...lockProviders(options.lock),
        ...cacheProviders(options.cache),
        ...queueProviders(options.queue),
        ...limitProviders(options.limit),
      ],
      exports: [
        ...[LOCK_SERVICE, LockService, injectedProvider(LOCK_SERVICE)],
        ...[CACHE_SERVICE, CacheService, injectedProvider(CACHE_SERVICE)],
        ...[QUEUE_SERVICE, QueueService, TestingQueue, TestingClock],
        ...[LIMIT_SERVICE, RateLimitService, injectedProvider(LIMIT_SERVICE)],
      ],
    };
  }

  /**
   * Replaces Redis in an app that imports `SluiceModule` (or the feature modules): the app runs as it is, with its own options of
   * locks, cache and queues, and never connects. Returns the builder.
   *
   * `app.get(TestingQueue)` and `app.get(TestingClock)` work as with `forRoot`. Factories of options run, so the environment
   * variables that they read must be set. `redis` is checked and not used.
   *
   * @example
   * const app = await SluiceTestingModule.override(Test.createTestingModule({ imports: [AppModule] })).compile();
   * await app.init();
   */
  static override<B extends OverridableModule<B>>(builder: B): B {
    return overrideWithoutRedis(builder);
  }

  async onModuleDestroy(): Promise<void> {
    await this.#connections.shutdown.drain();
  }
}

function lockProviders(options: SluiceLockModuleOptions = {}): NonNullable<DynamicModule['providers']> {
  return [
    CronJobs,
    // Tests may hold locks when they end, and the end of a test should not wait for them.
    { provide: LOCK_OPTIONS, useValue: { drainMs: 0, ...options } },
    { provide: LOCK_STORE, inject: [REDIS_CONNECTIONS], useFactory: inProcessLocks },
    { provide: LOCK_SERVICE, useClass: LockService },
    { provide: LockService, useExisting: LOCK_SERVICE },
    injectedProvider(LOCK_SERVICE),
  ];
}

function cacheProviders(options: SluiceCacheModuleOptions = {}): NonNullable<DynamicModule['providers']> {
  return [
    {
      provide: CACHE_SERVICE,
      inject: [REDIS_CONNECTIONS],
      useFactory: (connections: RedisConnections) => inProcessCache(connections, options),
    },
    { provide: CacheService, useExisting: CACHE_SERVICE },
    injectedProvider(CACHE_SERVICE),
  ];
}

function queueProviders(options: SluiceQueueModuleOptions = {}): NonNullable<DynamicModule['providers']> {
  return [
    { provide: QUEUE_OPTIONS, useFactory: () => resolveQueueOptions(options) },
    HandlerRegistry,
    HandlerCalls,
    TaskHandlerExplorer,
    TestingQueue,
    { provide: QUEUE_SERVICE, useExisting: TestingQueue },
    { provide: QueueService, useExisting: TestingQueue },
  ];
}

function limitProviders(options: SluiceLimitModuleOptions = {}): NonNullable<DynamicModule['providers']> {
  return [
    { provide: LIMIT_OPTIONS, useValue: options },
    { provide: LIMIT_STORE, inject: [REDIS_CONNECTIONS], useFactory: inProcessLimits },
    { provide: LIMIT_SERVICE, useClass: RateLimitService },
    { provide: RateLimitService, useExisting: LIMIT_SERVICE },
    injectedProvider(LIMIT_SERVICE),
    RateLimitExplorer,
  ];
}
