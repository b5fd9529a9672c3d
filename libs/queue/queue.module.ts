import {
  ConfigurableModuleBuilder,
  Inject,
  Module,
  Optional,
  type DynamicModule,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { DiscoveryModule, ModulesContainer } from '@nestjs/core';
import { REDIS_CONNECTIONS, destroyModuleFirst, noOptions, type RedisConnections } from '../redis/index.js';
import { HandlerCalls } from './handlers/handler-calls.js';
import { HandlerRegistry } from './handlers/handler.registry.js';
import { LocalPauses } from './worker/control/local-pauses.js';
import { QueueConsumers } from './worker/queue.consumers.js';
import { resolveQueueOptions, type SluiceQueueModuleOptions } from './queue.options.js';
import { QueueService } from './queue.service.js';
import { QueueTally } from './observe/queue.stats.js';
import { QUEUE_OPTIONS, QUEUE_SERVICE } from './queue.tokens.js';
import { TaskHandlerExplorer } from './decorators/task-handler.explorer.js';

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } = new ConfigurableModuleBuilder<SluiceQueueModuleOptions>({
  optionsInjectionToken: 'sluice:queue-options',
})
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createQueueOptions')
  .setExtras({ isGlobal: true }, (definition, { isGlobal }) => ({ ...definition, global: isGlobal }))
  .build();

/** The providers, global. {@link SluiceQueueModule} imports this module, and decides when it starts and stops. */
@Module({
  imports: [DiscoveryModule],
  providers: [
    { provide: QUEUE_OPTIONS, inject: [MODULE_OPTIONS_TOKEN], useFactory: resolveQueueOptions },
    { provide: QUEUE_SERVICE, useClass: QueueService },
    { provide: QueueService, useExisting: QUEUE_SERVICE },
    HandlerRegistry,
    QueueTally,
    LocalPauses,
    HandlerCalls,
    TaskHandlerExplorer,
    QueueConsumers,
  ],
  exports: [QUEUE_SERVICE, QueueService, QueueConsumers],
})
export class QueueCoreModule extends ConfigurableModuleClass {}

/**
 * Queues alone: `QueueService` to publish, `@TaskHandler` to work. `SluiceModule` includes this module.
 *
 * The module is destroyed first, wherever it is imported: tasks drain while everything that handlers depend on still exists,
 * including the providers of the root module.
 *
 * @example
 * imports: [PrismaModule, ShopModule, SluiceRedisModule.forRoot({ … }), SluiceQueueModule.forRoot()]
 */
@Module({})
export class SluiceQueueModule implements OnApplicationBootstrap, OnModuleDestroy {
  static forRoot(options: Parameters<typeof QueueCoreModule.forRoot>[0] = {}): DynamicModule {
    return facade(QueueCoreModule.forRoot(options));
  }

  static forRootAsync(options: Parameters<typeof QueueCoreModule.forRootAsync>[0]): DynamicModule {
    return facade(QueueCoreModule.forRootAsync(options));
  }

  readonly #connections: RedisConnections;
  readonly #consumers: QueueConsumers;

  constructor(
    @Inject(REDIS_CONNECTIONS) connections: RedisConnections,
    @Optional() @Inject(QueueConsumers) consumers: QueueConsumers | undefined,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    if (consumers === undefined) throw noOptions('SluiceQueueModule');
    this.#connections = connections;
    this.#consumers = consumers;
    // The module's bootstrap hook is the last one: tasks start when the app has booted, and never if the boot failed.
    destroyModuleFirst(modules, SluiceQueueModule);
  }

  onApplicationBootstrap(): Promise<void> {
    return this.#consumers.start();
  }

  onModuleDestroy(): Promise<void> {
    return this.#connections.shutdown.drain();
  }
}

function facade(core: DynamicModule): DynamicModule {
  return { module: SluiceQueueModule, imports: [core], exports: [QueueCoreModule] };
}
