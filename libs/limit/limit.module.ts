import { ConfigurableModuleBuilder, Module, type DynamicModule } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { REDIS_CONNECTIONS, type RedisConnections } from '../redis/index.js';
import { WeaveModule, injectedProvider } from '../weave/index.js';
import { RateLimitExplorer } from './decorators/rate-limit.explorer.js';
import { resolveLimitOptions, type SluiceLimitModuleOptions } from './limit-module.options.js';
import { LIMIT_OPTIONS, LIMIT_SERVICE, LIMIT_STORE } from './limit.tokens.js';
import { RateLimitService } from './rate-limit.service.js';
import { LimitStore } from './store/limit.store.js';

const { ConfigurableModuleClass } = new ConfigurableModuleBuilder<SluiceLimitModuleOptions>({
  optionsInjectionToken: LIMIT_OPTIONS,
})
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createLimitOptions')
  .setExtras({ isGlobal: true }, (definition, { isGlobal }) => ({ ...definition, global: isGlobal }))
  .build();

/**
 * Rate limits alone: `RateLimitService`, `@RateLimit`. `SluiceModule` includes this module.
 *
 * @example
 * imports: [SluiceRedisModule.forRoot({ redis: { url: 'redis://localhost:6379' } }), SluiceLimitModule.forRoot()]
 */
@Module({
  imports: [WeaveModule, DiscoveryModule],
  providers: [
    // The options for an app that imports the class itself. Those of forRoot and forRootAsync come later, and replace this value.
    { provide: LIMIT_OPTIONS, useValue: {} },
    {
      provide: LIMIT_STORE,
      inject: [REDIS_CONNECTIONS, LIMIT_OPTIONS],
      useFactory: (connections: RedisConnections, options: SluiceLimitModuleOptions | undefined) =>
        new LimitStore(connections.get(resolveLimitOptions(options).connection), connections.keyspace),
    },
    { provide: LIMIT_SERVICE, useClass: RateLimitService },
    { provide: RateLimitService, useExisting: LIMIT_SERVICE },
    injectedProvider(LIMIT_SERVICE),
    RateLimitExplorer,
  ],
  exports: [LIMIT_SERVICE, RateLimitService, injectedProvider(LIMIT_SERVICE)],
})
export class SluiceLimitModule extends ConfigurableModuleClass {
  static override forRoot(options: Parameters<typeof ConfigurableModuleClass.forRoot>[0] = {}): DynamicModule {
    return super.forRoot(options);
  }
}
