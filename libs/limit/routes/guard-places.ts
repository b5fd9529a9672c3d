import type { ModulesContainer } from '@nestjs/core';

type GuardClass = abstract new (...args: never[]) => object;

/** The metadata of `@UseGuards`. */
const GUARDS = '__guards__';

/** Whether a guard was made for `@UseGuards`, and not for the whole app. */
export function isOnRoute(guard: object, modules: ModulesContainer): boolean {
  for (const { injectables } of modules.values()) {
    const wrapper = injectables.get(guard.constructor as never);
    // The wrapper of a request-scoped guard has no instance of a call.
    if (wrapper !== undefined && (wrapper.instance === guard || !wrapper.isDependencyTreeStatic())) return true;
  }
  return false;
}

/** Whether a route or its class has a guard that extends `base`, beside this one. */
export function isGuardedBySubclass(guard: object, owner: object, handler: object, base: GuardClass): boolean {
  const guards = [owner, handler].flatMap((on) => (Reflect.getMetadata(GUARDS, on) ?? []) as unknown[]);
  return guards.some((each) => {
    const Guard = typeof each === 'function' ? each : (each as object).constructor;
    return Guard !== guard.constructor && Guard.prototype instanceof base;
  });
}
