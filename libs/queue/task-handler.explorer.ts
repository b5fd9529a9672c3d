import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { SluiceError } from '../weave/index.js';
import { HandlerRegistry } from './handler.registry.js';
import { declaredHandlers } from './task-handler.decorator.js';

type ProviderWrapper = ReturnType<DiscoveryService['getProviders']>[number];

/** Finds the `@TaskHandler` methods of an app's controllers and providers while it boots. Starts nothing. */
@Injectable()
export class TaskHandlerExplorer implements OnModuleInit {
  readonly #discovery: DiscoveryService;
  readonly #registry: HandlerRegistry;

  constructor(
    @Inject(DiscoveryService) discovery: DiscoveryService,
    @Inject(HandlerRegistry) registry: HandlerRegistry,
  ) {
    this.#discovery = discovery;
    this.#registry = registry;
  }

  onModuleInit(): void {
    const seen = new Set<object>();
    for (const wrapper of [...this.#discovery.getControllers(), ...this.#discovery.getProviders()]) {
      // An alias stands for a provider that is seen under its own token.
      if (!wrapper.isAlias) this.#explore(wrapper, seen);
    }
    // A list of queues to consume that names none of them fails the boot here, and not when the app is up.
    this.#registry.enabled();
  }

  #explore(wrapper: ProviderWrapper, seen: Set<object>): void {
    const singleton = wrapper.isDependencyTreeStatic() && !wrapper.isTransient;
    const instance: unknown = singleton ? wrapper.instance : undefined;
    if (!singleton && !wrapper.isNotMetatype) {
      this.#refuse(wrapper);
      return;
    }
    if (typeof instance !== 'object' || instance === null || seen.has(instance)) return;
    seen.add(instance);
    // A value or a factory's result has a class of its own, whatever its provider is called.
    const prototype = Reflect.getPrototypeOf(instance);
    for (const declared of declaredHandlers(prototype)) {
      this.#registry.add(instance, instance.constructor.name, declared);
    }
  }

  /** There is no one object that could handle a task: a request's provider has none, a transient one many. */
  #refuse(wrapper: ProviderWrapper): void {
    const { prototype, name } = wrapper.metatype as abstract new () => object;
    const declared = declaredHandlers(prototype as object)[0];
    if (declared === undefined) return;
    throw new SluiceError(
      'SLUICE_HANDLER_SCOPE',
      `@TaskHandler('${declared.queue}') on ${name}.${String(declared.key)}: the provider must be a singleton, but it ` +
        `is ${wrapper.isTransient ? 'transient' : 'request-scoped, or depends on something that is'}. ` +
        'Move the handler to a provider of its own, and resolve what belongs to a request there',
    );
  }
}
