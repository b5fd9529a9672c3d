import { Inject, Module, Optional, type DynamicModule, type OnModuleDestroy } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { SluiceCacheModule } from '../cache/index.js';
import { SluiceLimitModule } from '../limit/index.js';
import { SluiceLockModule } from '../lock/index.js';
import { SluiceQueueModule } from '../queue/index.js';
import {
  REDIS_CONNECTIONS,
  SluiceRedisModule,
  destroyModuleFirst,
  noOptions,
  type RedisConnections,
} from '../redis/index.js';
import { SluiceError, badOption, flag, resolveOptions } from '../weave/index.js';
import { SLUICE_OPTIONS, SluiceOptionsModule, type ASYNC_OPTIONS_TYPE } from './sluice-options.module.js';
import type { SluiceOptions } from './sluice.options.js';

export type SluiceFeature = 'lock' | 'cache' | 'queue' | 'limit';

/** The options that Nest must know before any factory runs. */
export interface SluiceStaticOptions {
  /** Whether every module of the app gets the services. Default true. */
  isGlobal?: boolean;
  /** Which features to load. Default all four. */
  features?: readonly SluiceFeature[];
}

export type SluiceAsyncOptions = typeof ASYNC_OPTIONS_TYPE & SluiceStaticOptions;

/**
 * Locks, stampede-proof cache, durable queues and rate limits on one Redis.
 *
 * When the app stops, this module is destroyed first, wherever it is imported: the app takes no more tasks, and running
 * tasks finish while the providers that their handlers use are still alive. Connections close last.
 * Call `app.enableShutdownHooks()`: without it, none of this happens on SIGTERM.
 *
 * @example
 * @Module({ imports: [OrdersModule, SluiceModule.forRoot({ namespace: 'shop', redis: { url: 'redis://localhost:6379' } })] })
 * export class AppModule {}
 */
@Module({})
export class SluiceModule implements OnModuleDestroy {
  readonly #connections: RedisConnections;

  constructor(
    @Optional() @Inject(REDIS_CONNECTIONS) connections: RedisConnections | undefined,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    if (connections === undefined) throw noOptions('SluiceModule');
    this.#connections = connections;
    destroyModuleFirst(modules, SluiceModule);
  }

  /** @throws SluiceError `SLUICE_BAD_OPTION` (which names the option), `SLUICE_REDIS_UNREACHABLE`, at boot */
  static forRoot(options: SluiceOptions & SluiceStaticOptions = {}): DynamicModule {
    const { isGlobal, features, ...rest } = options;
    return assemble(SluiceOptionsModule.forRoot(rest), { isGlobal, features });
  }

  /**
   * The same, with options from `useFactory`, `useClass` (its `createSluiceOptions()`) or `useExisting`.
   *
   * @example
   * SluiceModule.forRootAsync({
   *   inject: [ConfigService],
   *   useFactory: (config: ConfigService) => ({ redis: { url: config.getOrThrow('REDIS_URL') } }),
   * })
   */
  static forRootAsync(options: SluiceAsyncOptions): DynamicModule {
    const { isGlobal, features, ...rest } = options;
    if (!rest.useFactory && !rest.useClass && !rest.useExisting) {
      throw new SluiceError('SLUICE_BAD_OPTION', 'SluiceModule.forRootAsync needs useFactory, useClass or useExisting');
    }
    return assemble(SluiceOptionsModule.forRootAsync(rest), { isGlobal, features });
  }

  async onModuleDestroy(): Promise<void> {
    await this.#connections.shutdown.drain();
  }
}

const FEATURES: readonly SluiceFeature[] = ['lock', 'cache', 'queue', 'limit'];

/** Gives each module its part of the options. The options exist once, in `options`. */
function assemble(
  options: DynamicModule,
  given: { [K in keyof SluiceStaticOptions]: SluiceStaticOptions[K] | undefined },
): DynamicModule {
  const { isGlobal, features } = resolveOptions<Required<SluiceStaticOptions>>('SluiceModule', given, {
    isGlobal: flag(true),
    features: featureList,
  });
  const part = <T>(take: (options: SluiceOptions) => T) => ({
    isGlobal,
    imports: [options],
    inject: [SLUICE_OPTIONS],
    useFactory: take,
  });
  const redis = part(({ namespace, redis }) => ({
    ...(namespace !== undefined && { namespace }),
    ...(redis && { redis }),
  }));
  // The features find their connections wherever they are imported.
  const modules = [SluiceRedisModule.forRootAsync({ ...redis, isGlobal: true })];
  if (features.includes('lock')) modules.push(SluiceLockModule.forRootAsync(part(({ lock }) => lock ?? {})));
  if (features.includes('cache')) modules.push(SluiceCacheModule.forRootAsync(part(({ cache }) => cache ?? {})));
  if (features.includes('queue')) modules.push(SluiceQueueModule.forRootAsync(part(({ queue }) => queue ?? {})));
  if (features.includes('limit')) modules.push(SluiceLimitModule.forRootAsync(part(({ limit }) => limit ?? {})));
  return { module: SluiceModule, imports: modules, exports: modules };
}

function featureList(value: unknown, path: string): readonly SluiceFeature[] {
  if (value === undefined) return FEATURES;
  if (!Array.isArray(value) || value.some((each) => !FEATURES.includes(each as SluiceFeature))) {
    throw badOption(path, "a list of 'lock', 'cache', 'queue', 'limit'", value);
  }
  return value as SluiceFeature[];
}
