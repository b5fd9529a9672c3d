import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, ModuleRef } from '@nestjs/core';
import { bindService, isService } from './bound-service.js';
import { type AppBinder, processState } from './process-state.js';
import { SluiceError } from '../sluice.error.js';
import { type Class, type ProviderScope, type WovenMethod, wovenMethods } from '../methods/woven-methods.js';

type ProviderWrapper = ReturnType<DiscoveryService['getProviders']>[number];

/**
 * Finds the decorated methods of an app's controllers and providers while the app boots. The explorer binds the objects
 * that Nest did not construct (values and results of factories: Nest injects no properties there) and checks the options
 * of every method. When the app is closed, the bound objects are free for other apps.
 */
@Injectable()
export class WeaveExplorer implements AppBinder, OnModuleInit, OnApplicationShutdown {
  private readonly services = new Map<string, object>();

  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
  ) {}

  onModuleInit(): void {
    processState.apps.add(this);
    try {
      const seen = new Set<object>();
      for (const wrapper of [...this.discovery.getControllers(), ...this.discovery.getProviders()]) {
        if (wrapper.isAlias) continue; // the loop also meets the provider itself, under its own token
        if (wrapper.isNotMetatype) this.exploreMade(wrapper, seen);
        else this.exploreClass(wrapper, seen);
      }
    } catch (error) {
      // An app that fails to boot is rarely closed. Its objects must be free for the next app.
      this.onApplicationShutdown();
      throw error;
    }
  }

  onApplicationShutdown(): void {
    processState.apps.delete(this);
    for (const service of this.services.values()) processState.retired.add(service);
  }

  bind(instance: object): void {
    this.adopt(instance, 'transient');
  }

  /** A value, or the result of a factory. A request-scoped factory has no result yet. */
  private exploreMade(wrapper: ProviderWrapper, seen: Set<object>): void {
    const made = wrapper.isTransient
      ? wrapper.getStaticTransientInstances().map((host) => host?.instance as unknown)
      : [wrapper.instance as unknown];
    for (const instance of made) {
      if (typeof instance !== 'object' || instance === null || seen.has(instance)) continue;
      seen.add(instance);
      this.adopt(instance, wrapper.isTransient ? 'transient' : 'singleton');
    }
  }

  /** A class: Nest constructs its objects and injects the service. */
  private exploreClass(wrapper: ProviderWrapper, seen: Set<object>): void {
    const targetClass = wrapper.metatype as Class;
    const scope = scopeOf(wrapper);
    const instance = scope === 'singleton' ? (wrapper.instance as object) : undefined;
    if (instance) {
      if (seen.has(instance)) return;
      seen.add(instance);
    }
    for (const method of wovenMethods(targetClass.prototype as object)) {
      this.check(method, targetClass, scope, instance);
    }
  }

  private adopt(instance: object, scope: ProviderScope): void {
    for (const method of wovenMethods(Reflect.getPrototypeOf(instance))) {
      bindService(instance, method.weaver.token, this.service(method));
      this.check(method, instance.constructor as Class, scope, instance);
    }
  }

  private check(method: WovenMethod, targetClass: Class, scope: ProviderScope, instance: object | undefined): void {
    method.weaver.check?.(
      {
        targetClass,
        className: targetClass.name,
        declaredBy: method.declaredBy,
        method: String(method.key),
        scope,
        ...(instance && { instance }),
      },
      this.service(method),
    );
  }

  private service({ weaver, key, declaredBy }: WovenMethod): object {
    const known = this.services.get(weaver.token);
    if (known) return known;
    const site = `${declaredBy.name}.${String(key)} (${weaver.decorator})`;
    let service: unknown;
    try {
      service = this.moduleRef.get(weaver.token, { strict: false });
    } catch (cause) {
      throw new SluiceError(
        'SLUICE_NOT_BOUND',
        `${site} needs the service '${weaver.token}', which this app does not provide. Import SluiceModule.`,
        { cause },
      );
    }
    if (!isService(service, weaver.token)) {
      throw new SluiceError(
        'SLUICE_NOT_BOUND',
        `${site} needs the service '${weaver.token}', but what this app provides under that token is not one ` +
          '(a mock?). Import SluiceTestingModule, which needs no Redis.',
      );
    }
    this.services.set(weaver.token, service);
    return service;
  }
}

function scopeOf(wrapper: ProviderWrapper): ProviderScope {
  if (!wrapper.isDependencyTreeStatic()) return 'request';
  return wrapper.isTransient ? 'transient' : 'singleton';
}
