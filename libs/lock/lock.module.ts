import { ConfigurableModuleBuilder, Inject, Module, type DynamicModule, type OnModuleDestroy } from '@nestjs/common';
import { DiscoveryModule, ModulesContainer } from '@nestjs/core';
import { REDIS_CONNECTIONS, destroyModuleFirst, type RedisConnections } from '../redis/index.js';
import { WeaveModule, injectedProvider } from '../weave/index.js';
import { CronJobs } from './cron/cron-jobs.js';
import { resolveLockOptions, type SluiceLockModuleOptions } from './lock.options.js';
import { LockService } from './lock.service.js';
import { LockStore } from './store/lock.store.js';
import { LOCK_OPTIONS, LOCK_SERVICE, LOCK_STORE } from './lock.tokens.js';

const { ConfigurableModuleClass } = new ConfigurableModuleBuilder<SluiceLockModuleOptions>({
  optionsInjectionToken: LOCK_OPTIONS,
})
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createLockOptions')
  .setExtras({ isGlobal: true }, (definition, { isGlobal }) => ({ ...definition, global: isGlobal }))
  .build();

/**
 * Locks alone: `LockService` and `@WithLock`. `SluiceModule` includes this module.
 *
 * When the app stops, this module is destroyed first, wherever it is imported: work under locks ends (`lock.drainMs`) while the
 * providers that the work uses are still alive.
 *
 * @example
 * imports: [SluiceRedisModule.forRoot({ redis: { url: 'redis://localhost:6379' } }), SluiceLockModule.forRoot()]
 */
@Module({
  imports: [WeaveModule, DiscoveryModule],
  providers: [
    // The options for an app that imports the class itself. Those of forRoot and forRootAsync come later, and replace this value.
    { provide: LOCK_OPTIONS, useValue: {} },
    CronJobs,
    {
      provide: LOCK_STORE,
      inject: [REDIS_CONNECTIONS, LOCK_OPTIONS],
      useFactory: (connections: RedisConnections, options: SluiceLockModuleOptions | undefined) =>
        new LockStore(connections.get(resolveLockOptions(options).connection), connections.keyspace),
    },
    { provide: LOCK_SERVICE, useClass: LockService },
    { provide: LockService, useExisting: LOCK_SERVICE },
    injectedProvider(LOCK_SERVICE),
  ],
  exports: [LOCK_SERVICE, LockService, injectedProvider(LOCK_SERVICE)],
})
export class SluiceLockModule extends ConfigurableModuleClass implements OnModuleDestroy {
  static override forRoot(options: Parameters<typeof ConfigurableModuleClass.forRoot>[0] = {}): DynamicModule {
    return super.forRoot(options);
  }

  readonly #connections: RedisConnections;

  constructor(
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    super();
    this.#connections = connections;
    destroyModuleFirst(modules, SluiceLockModule);
  }

  onModuleDestroy(): Promise<void> {
    return this.#connections.shutdown.drain();
  }
}
