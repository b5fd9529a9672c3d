import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { DiscoveryService, ModuleRef } from '@nestjs/core';
import { addFeature, bindService, boundTwice, holderOf, isService } from './bound-service.js';
import { classPrototypeOf } from './class-prototype.js';
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
export class WeaveExplorer implements AppBinder, OnModuleInit, OnApplicationBootstrap, OnApplicationShutdown {
  hasBooted = false;
  private readonly services = new Map<string, object>();
  /** The objects that the explorer has bound while the app boots, with the token of each service. */
  private readonly bound: [instance: object, token: string][] = [];
  /** Classes with decorated methods that have passed their checks, by the lifetime of their objects. */
  private readonly checked = new Map<Class, ProviderScope>();
  private hasExplored = false;

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
      this.hasExplored = true;
    } catch (error) {
      // An app that fails to boot is rarely closed. Its objects must be free for the next app.
      this.onApplicationShutdown();
      throw error;
    }
  }

  /** From now on the app keeps its objects. An app that was still booting may have taken them meanwhile. */
  onApplicationBootstrap(): void {
    for (const [instance, token] of this.bound) {
      if (holderOf(instance, token)?.service !== this.services.get(token)) {
        this.onApplicationShutdown();
        throw boundTwice(instance, token);
      }
    }
    this.bound.length = 0;
    this.hasBooted = true;
    for (const service of this.services.values()) processState.booted.add(service);
    // Such an app may have failed in a hook of its own, and is then never closed. An app that goes on booting comes back here.
    for (const app of processState.apps) if (!app.hasBooted) processState.apps.delete(app);
    processState.apps.add(this);
  }

  onApplicationShutdown(): void {
    processState.apps.delete(this);
    for (const service of this.services.values()) processState.retired.add(service);
  }

  bind(instance: object): void {
    this.adopt(instance, 'transient');
  }

  checkLate(instance: object, token: string, service: object): boolean {
    if (!this.hasExplored) return false;
    const methods = wovenMethods(classPrototypeOf(instance)).filter(({ weaver }) => weaver.token === token);
    const [method] = methods;
    if (method === undefined || this.findService(method) !== service) return false;
    const targetClass = instance.constructor as Class;
    const known = this.checked.get(targetClass);
    if (known === 'request' || known === 'transient') return true;
    // A class that was found at boot has its object. This is another object, which `ModuleRef.create` made, for instance.
    const scope = known === undefined && this.isProvided(instance) ? 'singleton' : 'transient';
    for (const each of methods) this.check(each, targetClass, scope, scope === 'singleton' ? instance : undefined);
    if (scope === 'transient' && known === undefined) this.checked.set(targetClass, scope);
    return true;
  }

  /** Whether the object is a provider of a module that was loaded after the boot. */
  private isProvided(instance: object): boolean {
    return [...this.discovery.getControllers(), ...this.discovery.getProviders()].some(
      (wrapper) => wrapper.isDependencyTreeStatic() && !wrapper.isTransient && wrapper.instance === instance,
    );
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
      this.checked.set(targetClass, scope);
      if (instance) markChecked(instance, method.weaver.token);
    }
  }

  private adopt(instance: object, scope: ProviderScope): void {
    for (const method of wovenMethods(classPrototypeOf(instance))) {
      const { token } = method.weaver;
      bindService(instance, token, this.service(method));
      if (!this.hasBooted) this.bound.push([instance, token]);
      this.check(method, instance.constructor as Class, scope, instance);
      markChecked(instance, token);
    }
  }

  private check(method: WovenMethod, targetClass: Class, scope: ProviderScope, instance: object | undefined): void {
    checkInstalled(method);
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

  private findService(method: WovenMethod): object | undefined {
    try {
      return this.service(method);
    } catch {
      return undefined; // this app has no such service, so the object is bound to another app
    }
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
        `${site} needs the service '${weaver.token}', which this app does not provide. Import SluiceModule. ${addFeature(weaver.token)}`,
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
    if (this.hasBooted) processState.booted.add(service);
    return service;
  }
}

/**
 * Checks that the method of the class is the decorated one. The compiler applies the decorators of a class body. Code that calls
 * a decorator itself may forget to install its result.
 */
function checkInstalled({ weaver, key, declaredBy, original }: WovenMethod): void {
  const installed = Reflect.getOwnPropertyDescriptor(declaredBy.prototype as object, key)?.value as unknown;
  if (installed !== original) return;
  throw new SluiceError(
    'SLUICE_BAD_DECORATION',
    `${weaver.decorator} on ${declaredBy.name}.${String(key)} protects nothing: the descriptor that it changed was not written back. ` +
      'Call Object.defineProperty(prototype, key, descriptor) after it',
  );
}

function markChecked(instance: object, token: string): void {
  const holder = holderOf(instance, token);
  if (holder) holder.isChecked = true;
}

function scopeOf(wrapper: ProviderWrapper): ProviderScope {
  if (!wrapper.isDependencyTreeStatic()) return 'request';
  return wrapper.isTransient ? 'transient' : 'singleton';
}
