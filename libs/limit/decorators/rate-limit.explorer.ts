import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, MetadataScanner, ModulesContainer } from '@nestjs/core';
import { SluiceError, classPrototypeOf } from '../../weave/index.js';
import { LIMIT_SERVICE } from '../limit.tokens.js';
import type { RateLimitService } from '../rate-limit.service.js';
import { declaredLimits, skipsOf } from './declared-limits.js';
import { checkRoute } from './rate-limit-checks.js';
import { RateLimitGuard } from '../routes/rate-limit.guard.js';
import { isField, metadataOf, routeKindsOf, type RouteKind } from '../routes/route-kinds.js';

/** A method of a class that is a route, or is free of limits. */
interface Method {
  readonly name: string;
  readonly kinds: readonly RouteKind[];
  readonly fn: object;
}

/** Under this name, the GraphQL module provides its options. */
const GRAPHQL_OPTIONS = 'GqlModuleOptions';

type AnyClass = abstract new (...args: never[]) => object;

/** Checks what an app says about its routes while it boots: limits of classes, `@SkipRateLimit`, and the option `routes`. */
@Injectable()
export class RateLimitExplorer implements OnModuleInit {
  readonly #service: RateLimitService;
  readonly #discovery: DiscoveryService;
  readonly #scanner: MetadataScanner;
  readonly #modules: ModulesContainer;

  constructor(
    @Inject(LIMIT_SERVICE) service: RateLimitService,
    @Inject(DiscoveryService) discovery: DiscoveryService,
    @Inject(MetadataScanner) scanner: MetadataScanner,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    this.#service = service;
    this.#discovery = discovery;
    this.#scanner = scanner;
    this.#modules = modules;
  }

  onModuleInit(): void {
    const { routes } = this.#service.routing;
    for (const ref of routes) this.#service.known(ref);
    const isResolverOpen = this.#graphqlOptions().length > 0 && !this.#hasGuard();
    let hasRoutes = false;
    for (const wrapper of [...this.#discovery.getControllers(), ...this.#discovery.getProviders()]) {
      const { metatype, isNotMetatype } = wrapper;
      if (isResolverOpen && isNotMetatype && !wrapper.isAlias) this.#checkMade(wrapper.instance);
      if (isNotMetatype || typeof metatype !== 'function') continue;
      const methods = this.#methodsOf(metatype as AnyClass);
      hasRoutes ||= methods.some(({ kinds }) => kinds.length > 0);
      this.#check(metatype as AnyClass, methods);
    }
    if (routes.length > 0 && hasRoutes && !this.#hasGuard()) {
      const message =
        'limit.routes: no guard enforces it. Provide one for all routes: { provide: APP_GUARD, useClass: RateLimitGuard }';
      throw new SluiceError('SLUICE_BAD_OPTION', message);
    }
  }

  #methodsOf({ prototype }: AnyClass): Method[] {
    return this.#scanner.getAllMethodNames(prototype as object).flatMap((name) => {
      const fn: unknown = (prototype as Record<string, unknown>)[name];
      if (typeof fn !== 'function') return [];
      const kinds = routeKindsOf(metadataOf(fn));
      return kinds.length > 0 || skipsOf(fn) !== undefined ? [{ name, kinds, fn }] : [];
    });
  }

  #check(owner: AnyClass, methods: readonly Method[]): void {
    const ofClass = declaredLimits(owner);
    const kinds = [...new Set(methods.flatMap((method) => method.kinds))];
    const site = `@RateLimit on ${owner.name}`;
    if ((ofClass.length > 0 || skipsOf(owner) !== undefined) && kinds.length === 0) {
      const message = `${ofClass.length > 0 ? site : `@SkipRateLimit on ${owner.name}`}: the class has no routes. Decorate its methods`;
      throw new SluiceError('SLUICE_BAD_DECORATION', message);
    }
    checkRoute(site, ofClass, kinds, this.#service);
    const routes = this.#names(this.#service.routing.routes);
    this.#checkSkips(`@SkipRateLimit on ${owner.name}`, owner, routes);
    const inherited = [...routes, ...this.#names(ofClass.flatMap(({ refs }) => refs))];
    for (const { name, kinds: own, fn } of methods) {
      const where = `@SkipRateLimit on ${owner.name}.${name}`;
      if (isField(metadataOf(fn)) && declaredLimits(fn).length > 0)
        this.#checkField(`@RateLimit on ${owner.name}.${name}`);
      if (own.length === 0) throw new SluiceError('SLUICE_BAD_DECORATION', `${where}: the method is no route`);
      this.#checkSkips(where, fn, inherited);
    }
  }

  /** Nest gives a resolver that is a value, or that a factory made, no guards of its class and methods. */
  #checkMade(made: unknown): void {
    if (typeof made !== 'object' || made === null) return;
    const owner = classPrototypeOf(made)?.constructor as AnyClass | undefined;
    if (typeof owner !== 'function') return;
    const limited = this.#methodsOf(owner).find(({ kinds, fn }) => {
      return kinds.includes('graphql') && [...declaredLimits(owner), ...declaredLimits(fn)].length > 0;
    });
    if (limited === undefined) return;
    const message =
      `@RateLimit on ${owner.name}.${limited.name}: the resolver is a value or was made by a factory, so Nest gives it no guard, and the ` +
      'limit would not be enforced. Provide the class itself, or a guard for all routes: { provide: APP_GUARD, useClass: RateLimitGuard }';
    throw new SluiceError('SLUICE_BAD_DECORATION', message);
  }

  /** The options of each GraphQL module. */
  #graphqlOptions(): unknown[] {
    return [...this.#modules.values()]
      .map(({ providers }): unknown => providers.get(GRAPHQL_OPTIONS)?.instance)
      .filter((options) => options !== undefined);
  }

  /** Fields have no guards by default. Without a GraphQL module, nothing resolves them in this process. */
  #checkField(where: string): void {
    const all = this.#graphqlOptions();
    if (all.length === 0 || all.some(hasFieldGuards)) return;
    const message =
      `${where}: the method resolves a field, and fields have no guards, so the limit would not be enforced. Give GraphQLModule the ` +
      "option fieldResolverEnhancers: ['guards'], or limit the query";
    throw new SluiceError('SLUICE_BAD_DECORATION', message);
  }

  /** A name that skips nothing is a mistake: the route would be limited all the same. */
  #checkSkips(where: string, on: object, names: readonly string[]): void {
    const skips = skipsOf(on);
    if (skips === undefined || skips === true) return;
    const wrong = skips.find((name) => !names.includes(name));
    if (wrong === undefined) return;
    const known = names.length > 0 ? `those are ${names.map((name) => `'${name}'`).join(', ')}` : 'there are none';
    const message = `${where}: '${wrong}' is no limit of the class or of limit.routes; ${known}`;
    throw new SluiceError('SLUICE_BAD_OPTION', message);
  }

  #names(refs: readonly Parameters<RateLimitService['known']>[0][]): string[] {
    return refs.map((ref) => this.#service.known(ref).name);
  }

  /** Whether the app provides a guard, as `APP_GUARD` or by its class. */
  #hasGuard(): boolean {
    for (const { providers, injectables } of this.#modules.values()) {
      for (const { metatype, instance, token } of [...providers.values(), ...injectables.values()]) {
        // A test may have put something else in the place of the guard.
        const isGuard = instance instanceof RateLimitGuard || isGuardClass(metatype) || isGuardClass(token);
        // An injectable under its class is a guard of one route.
        if (isGuard && (typeof token === 'string' || providers.has(token))) return true;
      }
    }
    return false;
  }
}

function isGuardClass(metatype: unknown): boolean {
  if (typeof metatype !== 'function') return false;
  return metatype === RateLimitGuard || metatype.prototype instanceof RateLimitGuard;
}

function hasFieldGuards(options: unknown): boolean {
  if (typeof options !== 'object' || options === null || !('fieldResolverEnhancers' in options)) return false;
  const { fieldResolverEnhancers: on } = options;
  return Array.isArray(on) && on.includes('guards');
}
