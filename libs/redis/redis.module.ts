import { ConfigurableModuleBuilder, Inject, Module, type DynamicModule, type OnModuleInit } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { systemClock, type Clock } from './time/clock.js';
import { BootHolds, BootModule } from './boot.module.js';
import { RedisConnections } from './connection/connections.js';
import type { RedisOptions } from './redis.options.js';
import { SluiceError, initModuleFirst, resolveOptions, unservedMethods } from '../weave/index.js';

/** Nest provider token of {@link RedisConnections}. */
export const REDIS_CONNECTIONS = 'sluice:redis-connections';

/** Nest provider token of the {@link Clock}: override it to own time in a test. */
export const SLUICE_CLOCK = 'sluice:clock';

/** Nest provider token of the module's options, as given. */
export const REDIS_OPTIONS = 'sluice:redis-options';

export interface SluiceRedisModuleOptions {
  /** Prefixes every key and channel, so that apps can share a Redis. No braces. Default: none. */
  namespace?: string;
  /** How to reach Redis. Default `{ url: 'redis://localhost:6379' }`. */
  redis?: RedisOptions;
}

const { ConfigurableModuleClass } = new ConfigurableModuleBuilder<SluiceRedisModuleOptions>({
  optionsInjectionToken: REDIS_OPTIONS,
})
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createRedisOptions')
  .setExtras({ isGlobal: true }, (definition, { isGlobal }) => ({ ...definition, global: isGlobal }))
  .build();

/** @throws SluiceError `SLUICE_BAD_OPTION` */
export function resolveRedisModuleOptions(given: SluiceRedisModuleOptions | undefined): SluiceRedisModuleOptions {
  const asGiven = (value: unknown): never => value as never;
  if (given === undefined) throw noOptions('SluiceRedisModule');
  return resolveOptions<SluiceRedisModuleOptions>('SluiceRedisModule', given, { namespace: asGiven, redis: asGiven });
}

/** For modules whose factory returned nothing. */
export function noOptions(module: string): SluiceError {
  return new SluiceError(
    'SLUICE_BAD_OPTION',
    `${module} got no options. Import ${module}.forRoot({ … }), and not the class alone. If a factory makes the options, ` +
      'it returned undefined: let it return {} for the defaults',
  );
}

/**
 * The connections that the feature modules stand on. `SluiceModule` brings it along; import it yourself only to
 * use one feature's module alone.
 *
 * @example
 * imports: [SluiceRedisModule.forRoot({ redis: { url: 'redis://localhost:6379' } }), SluiceLockModule.forRoot()]
 */
@Module({
  imports: [BootModule],
  providers: [
    // For an import of the class itself, which is refused. Those of forRoot and forRootAsync come later, and replace it.
    { provide: REDIS_OPTIONS, useValue: undefined },
    // A factory: Nest 11 keeps a value whose provider a test overrides by a factory.
    { provide: SLUICE_CLOCK, useFactory: () => systemClock },
    {
      provide: REDIS_CONNECTIONS,
      inject: [REDIS_OPTIONS, SLUICE_CLOCK, BootHolds],
      useFactory: (options: SluiceRedisModuleOptions | undefined, clock: Clock, holds: BootHolds) =>
        new RedisConnections({ ...resolveRedisModuleOptions(options), clock, bootHold: holds.add(clock) }),
    },
  ],
  exports: [REDIS_CONNECTIONS],
})
export class SluiceRedisModule extends ConfigurableModuleClass implements OnModuleInit {
  static override forRoot(options: Parameters<typeof ConfigurableModuleClass.forRoot>[0] = {}): DynamicModule {
    return super.forRoot(options);
  }

  readonly #connections: RedisConnections;
  readonly #modules: ModulesContainer;

  constructor(
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    super();
    this.#connections = connections;
    this.#modules = modules;
    // Global modules of the app use locks in their first hook and in their last one.
    initModuleFirst(modules, SluiceRedisModule);
  }

  onModuleInit(): void {
    for (const warning of unservedMethods(this.#modules)) this.#connections.logger.warn(warning);
  }
}
