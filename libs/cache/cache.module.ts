import { ConfigurableModuleBuilder, Module, type DynamicModule } from '@nestjs/common';
import { REDIS_CONNECTIONS, type RedisConnections } from '../redis/index.js';
import { WeaveModule, injectedProvider } from '../weave/index.js';
import type { SluiceCacheModuleOptions } from './cache.options.js';
import { CacheService } from './cache.service.js';
import { CACHE_OPTIONS, CACHE_SERVICE } from './cache.tokens.js';

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } = new ConfigurableModuleBuilder<SluiceCacheModuleOptions>({
  optionsInjectionToken: CACHE_OPTIONS,
})
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createCacheOptions')
  .setExtras({ isGlobal: true }, (definition, { isGlobal }) => ({ ...definition, global: isGlobal }))
  .build();

/**
 * The cache alone, on the connections of `SluiceRedisModule`. `SluiceModule` includes it.
 *
 * @example
 * imports: [SluiceRedisModule.forRoot({ namespace: 'shop' }), SluiceCacheModule.forRoot({ ttlMs: 30_000 })]
 */
@Module({
  imports: [WeaveModule],
  providers: [
    // The options for imports of the class itself. The options of forRoot and forRootAsync come later, and replace these.
    { provide: MODULE_OPTIONS_TOKEN, useValue: {} },
    {
      provide: CACHE_SERVICE,
      inject: [REDIS_CONNECTIONS, MODULE_OPTIONS_TOKEN],
      useFactory: (connections: RedisConnections, options: SluiceCacheModuleOptions | undefined) =>
        new CacheService(connections, options),
    },
    { provide: CacheService, useExisting: CACHE_SERVICE },
    injectedProvider(CACHE_SERVICE),
  ],
  exports: [CACHE_SERVICE, CacheService, injectedProvider(CACHE_SERVICE)],
})
export class SluiceCacheModule extends ConfigurableModuleClass {
  static override forRoot(options: Parameters<typeof ConfigurableModuleClass.forRoot>[0] = {}): DynamicModule {
    return super.forRoot(options);
  }
}
