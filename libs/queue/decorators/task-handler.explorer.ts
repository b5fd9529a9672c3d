import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { SluiceError, classPrototypeOf } from '../../weave/index.js';
import { HandlerCalls, type Handled, type HandlerCall, type ProviderWrapper } from '../handlers/handler-calls.js';
import { refuseLostSchedules } from '../handlers/handler-schedules.js';
import { HandlerRegistry } from '../handlers/handler.registry.js';
import { declaredHandlers } from './task-handler.decorator.js';
import { declaredSchedules } from './task-schedule.decorator.js';

/** Finds the `@TaskHandler` methods of an app's controllers and providers while the app boots. Starts no work. */
@Injectable()
export class TaskHandlerExplorer implements OnModuleInit {
  readonly #discovery: DiscoveryService;
  readonly #registry: HandlerRegistry;
  readonly #calls: HandlerCalls;

  constructor(
    @Inject(DiscoveryService) discovery: DiscoveryService,
    @Inject(HandlerRegistry) registry: HandlerRegistry,
    @Inject(HandlerCalls) calls: HandlerCalls,
  ) {
    this.#discovery = discovery;
    this.#registry = registry;
    this.#calls = calls;
  }

  async onModuleInit(): Promise<void> {
    const seen = new Set<object>();
    for (const wrapper of [...this.#discovery.getControllers(), ...this.#discovery.getProviders()]) {
      // The loop also meets the provider behind an alias, under its own token.
      if (!wrapper.isAlias) this.#explore(wrapper, seen);
    }
    // If the list of queues to consume names a queue without a handler, the boot fails here, and not when the app is up.
    this.#registry.enabled();
    await this.#registry.checkSchedules();
  }

  #explore(wrapper: ProviderWrapper, seen: Set<object>): void {
    const requestScoped = !wrapper.isDependencyTreeStatic();
    if (!wrapper.isNotMetatype && wrapper.isTransient) this.#refuse(wrapper);
    if (!wrapper.isNotMetatype && requestScoped) this.#exploreScoped(wrapper);
    const instance: unknown = requestScoped || wrapper.isTransient ? undefined : wrapper.instance;
    if (typeof instance !== 'object' || instance === null || seen.has(instance)) return;
    seen.add(instance);
    // A value, or the result of a factory, has a class of its own, whatever the name of its provider is.
    const prototype = wrapper.isNotMetatype
      ? classPrototypeOf(instance)
      : ((wrapper.metatype as abstract new () => object).prototype as object);
    this.#add(instance.constructor.name, prototype, (key, enhancers) => this.#calls.of(instance, key, enhancers));
  }

  /** Adds the handlers of a request-scoped class. There is no object yet: one is created per task. */
  #exploreScoped(wrapper: ProviderWrapper): void {
    const { prototype, name } = wrapper.metatype as abstract new () => object;
    this.#add(name, prototype as object, (key, enhancers) => this.#calls.scoped(wrapper, key, enhancers));
  }

  #add(
    className: string,
    prototype: object | null,
    callOf: (key: string | symbol, enhancers: boolean) => HandlerCall<Handled>,
  ): void {
    const [handlers, schedules] = [declaredHandlers(prototype), declaredSchedules(prototype)];
    refuseLostSchedules(className, handlers, schedules);
    for (const declared of handlers) {
      this.#registry.add(className, declared, (enhancers) => callOf(declared.key, enhancers), schedules);
    }
  }

  /** Refuses a transient provider: it has one object per injection, and so no object that could handle tasks. */
  #refuse(wrapper: ProviderWrapper): void {
    const { prototype, name } = wrapper.metatype as abstract new () => object;
    const declared = declaredHandlers(prototype as object)[0];
    if (declared === undefined) return;
    throw new SluiceError(
      'SLUICE_HANDLER_SCOPE',
      `@TaskHandler('${declared.queue}') on ${name}.${String(declared.key)}: the provider is transient: there is one ` +
        'object per injection, and none for tasks. Make it a singleton, or request-scoped for one object per task',
    );
  }
}
