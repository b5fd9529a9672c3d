import { ModulesContainer } from '@nestjs/core';
import { CACHE_SERVICE, type SluiceCacheModuleOptions } from '../cache/index.js';
import { CACHE_OPTIONS } from '../cache/cache.tokens.js';
import { LIMIT_STORE } from '../limit/limit.tokens.js';
import { CronJobs } from '../lock/cron/cron-jobs.js';
import { LOCK_SERVICE, LockService, type SluiceLockModuleOptions } from '../lock/index.js';
import { LOCK_OPTIONS, LOCK_STORE } from '../lock/lock.tokens.js';
import type { LockStore } from '../lock/store/lock.store.js';
import { HandlerRegistry } from '../queue/handlers/handler.registry.js';
import { QUEUE_SERVICE } from '../queue/index.js';
import type { ResolvedQueueOptions } from '../queue/queue.options.js';
import { QUEUE_OPTIONS } from '../queue/queue.tokens.js';
import { QueueConsumers } from '../queue/worker/queue.consumers.js';
import { REDIS_CONNECTIONS, SLUICE_CLOCK, type Clock, type RedisConnections } from '../redis/index.js';
import { REDIS_OPTIONS, resolveRedisModuleOptions, type SluiceRedisModuleOptions } from '../redis/redis.module.js';
import { inProcessCache, inProcessLimits, inProcessLocks } from './in-process/in-process-services.js';
import { NoRedis } from './in-process/no-redis.js';
import { TestingClock } from './in-process/testing-clock.js';
import { TestingQueue } from './in-process/testing-queue.js';

/** The part of a `TestingModuleBuilder` that is needed. */
export interface OverridableModule<B> {
  overrideProvider(token: unknown): {
    useValue(value: unknown): B;
    useFactory(options: { factory: (...args: never[]) => unknown; inject?: unknown[] }): B;
  };
}

/** Replaces each provider that needs a Redis by one that works within this process. */
export function overrideWithoutRedis<B extends OverridableModule<B>>(builder: B): B {
  return builder
    .overrideProvider(SLUICE_CLOCK)
    .useFactory({
      inject: [ModulesContainer],
      factory: (modules: ModulesContainer) => offer(modules, SLUICE_CLOCK, TestingClock, new TestingClock()),
    })
    .overrideProvider(REDIS_CONNECTIONS)
    .useFactory({
      inject: [REDIS_OPTIONS, SLUICE_CLOCK],
      factory: (options: SluiceRedisModuleOptions | undefined, clock: Clock) =>
        new NoRedis(resolveRedisModuleOptions(options).namespace, clock),
    })
    .overrideProvider(LOCK_STORE)
    .useFactory({ inject: [REDIS_CONNECTIONS], factory: inProcessLocks })
    .overrideProvider(LOCK_SERVICE)
    .useFactory({
      inject: [REDIS_CONNECTIONS, LOCK_OPTIONS, LOCK_STORE, CronJobs],
      factory: (
        connections: RedisConnections,
        options: SluiceLockModuleOptions | undefined,
        store: LockStore,
        cronJobs: CronJobs,
      ) => new LockService(connections, { drainMs: 0, ...options }, store, cronJobs),
    })
    .overrideProvider(LIMIT_STORE)
    .useFactory({ inject: [REDIS_CONNECTIONS], factory: inProcessLimits })
    .overrideProvider(CACHE_SERVICE)
    .useFactory({
      inject: [REDIS_CONNECTIONS, CACHE_OPTIONS],
      factory: (connections: RedisConnections, options: SluiceCacheModuleOptions | undefined) =>
        inProcessCache(connections, options),
    })
    .overrideProvider(QUEUE_SERVICE)
    .useFactory({
      inject: [ModulesContainer, HandlerRegistry, REDIS_CONNECTIONS, QUEUE_OPTIONS],
      factory: (
        modules: ModulesContainer,
        registry: HandlerRegistry,
        { clock }: RedisConnections,
        options: ResolvedQueueOptions,
      ) => offer(modules, QUEUE_SERVICE, TestingQueue, new TestingQueue(registry, clock, options)),
    })
    .overrideProvider(QueueConsumers)
    .useValue({ start: () => Promise.resolve() });
}

/** Makes `app.get(Class)` find the provider of the token, because an override cannot add a provider. */
function offer<T extends object>(
  modules: ModulesContainer,
  token: string,
  Class: new (...args: never[]) => T,
  value: T,
): T {
  for (const module of modules.values()) {
    if (module.providers.has(token)) module.addProvider({ provide: Class, useValue: value });
  }
  return value;
}
