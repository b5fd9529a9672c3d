import { Module, type DynamicModule, type OnModuleDestroy, Inject } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import type { CacheStore } from '../cache/store/cache.store.js';
import { CACHE_SERVICE, CacheService, type SluiceCacheModuleOptions } from '../cache/index.js';
import { CronJobs } from '../lock/cron/cron-jobs.js';
import { LockService, LOCK_SERVICE, type SluiceLockModuleOptions } from '../lock/index.js';
import { LOCK_OPTIONS, LOCK_STORE } from '../lock/lock.tokens.js';
import { HandlerCalls } from '../queue/handlers/handler-calls.js';
import { HandlerRegistry } from '../queue/handlers/handler.registry.js';
import { QUEUE_OPTIONS } from '../queue/queue.tokens.js';
import { QUEUE_SERVICE, QueueService, type SluiceQueueModuleOptions } from '../queue/index.js';
import { resolveQueueOptions } from '../queue/queue.options.js';
import { TaskHandlerExplorer } from '../queue/decorators/task-handler.explorer.js';
import { REDIS_CONNECTIONS, RedisConnections, SLUICE_CLOCK, systemClock, type Clock } from '../redis/index.js';
import { SluiceError, WeaveModule } from '../weave/index.js';
import { InProcessCacheStore } from './in-process/in-process-cache.store.js';
import { InProcessLockStore } from './in-process/in-process-lock.store.js';
import { TestingQueue } from './in-process/testing-queue.js';

export interface SluiceTestingOptions {
  /** As the app's own. Default `'test'`. */
  namespace?: string;
  lock?: SluiceLockModuleOptions;
  cache?: SluiceCacheModuleOptions;
  queue?: SluiceQueueModuleOptions;
}

/** The shared parts of the features, without a Redis. It never connects. */
class NoRedis extends RedisConnections {
  override get(): never {
    throw new SluiceError('SLUICE_NO_REDIS', 'SluiceTestingModule has no Redis; use SluiceModule with startRedis()');
  }

  override onModuleInit(): Promise<void> {
    return Promise.resolve();
  }
}

/**
 * Sluice without Redis, for tests of an app: the same decorators and services, within this process.
 *
 * Locks exclude, wait in order, renew and have growing fencing tokens. The cache loads once, keeps values and shares
 * errors, with the same codec. `publish` records tasks and `TestingQueue.drain()` runs the handlers. To test several
 * processes, or a Redis that fails, use a real server: `startRedis()`.
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
        { provide: SLUICE_CLOCK, useValue: systemClock },
        {
          provide: REDIS_CONNECTIONS,
          inject: [SLUICE_CLOCK],
          useFactory: (clock: Clock) => new NoRedis({ namespace: options.namespace ?? 'test', clock }),
        },
        ...lockProviders(options.lock),
        ...cacheProviders(options.cache),
        ...queueProviders(options.queue),
      ],
      exports: [LOCK_SERVICE, LockService, CACHE_SERVICE, CacheService, QUEUE_SERVICE, QueueService, TestingQueue],
    };
  }

  async onModuleDestroy(): Promise<void> {
    await this.#connections.shutdown.drain();
  }
}

function lockProviders(options: SluiceLockModuleOptions = {}): NonNullable<DynamicModule['providers']> {
  return [
    CronJobs,
    // Tests hold locks when they end, and nobody wants to wait for them.
    { provide: LOCK_OPTIONS, useValue: { drainMs: 0, ...options } },
    {
      provide: LOCK_STORE,
      inject: [REDIS_CONNECTIONS],
      useFactory: ({ clock, processId }: RedisConnections) => new InProcessLockStore(clock, processId),
    },
    { provide: LOCK_SERVICE, useClass: LockService },
    { provide: LockService, useExisting: LOCK_SERVICE },
  ];
}

function cacheProviders(options: SluiceCacheModuleOptions = {}): NonNullable<DynamicModule['providers']> {
  return [
    {
      provide: CACHE_SERVICE,
      inject: [REDIS_CONNECTIONS],
      useFactory: (connections: RedisConnections) => {
        // It has every public member of a CacheStore and needs none of the private ones.
        const store = new InProcessCacheStore(connections.clock) as unknown as CacheStore;
        return new CacheService(connections, options, store);
      },
    },
    { provide: CacheService, useExisting: CACHE_SERVICE },
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
