import type { ModulesContainer } from '@nestjs/core';
import 'reflect-metadata';

/** A method that a service of its app calls. The decorator does not change the method, so no call of the method can fail. */
export interface ServedMethod {
  readonly key: string | symbol;
  /** The decorator as users write it, for messages: `"@TaskHandler('orders')"`. */
  readonly decorator: string;
  /** The Nest provider token of the service that calls the method. */
  readonly token: string;
  /** The modules that provide the service, for messages. */
  readonly providedBy: string;
}

const SERVED = Symbol.for('sluice:served');

/** Records a method on the prototype that declares it, by name: a decorator that replaces the function later cannot lose it. */
export function noteServedMethod(prototype: object, method: ServedMethod): void {
  const own = (Reflect.getOwnMetadata(SERVED, prototype) ?? []) as readonly ServedMethod[];
  Reflect.defineMetadata(SERVED, [...own, method], prototype);
}

/** The methods that a prototype declares or inherits. The declaration of a subclass replaces the inherited one. */
export function servedMethods(prototype: object | null): readonly ServedMethod[] {
  const found: ServedMethod[] = [];
  const seen = new Set<string | symbol>();
  for (let at = prototype; at !== null && at !== Object.prototype; at = Reflect.getPrototypeOf(at)) {
    const own = (Reflect.getOwnMetadata(SERVED, at) ?? []) as readonly ServedMethod[];
    found.push(...own.filter(({ key }) => !seen.has(key)));
    for (const { key } of own) seen.add(key);
  }
  return found;
}

/** A warning for each service that an app's methods wait for and that no module of the app provides. */
export function unservedMethods(modules: ModulesContainer): readonly string[] {
  const provided = new Set<unknown>();
  const waiting = new Map<string, { providedBy: string; methods: Set<string> }>();
  for (const { providers, controllers } of modules.values()) {
    for (const token of providers.keys()) provided.add(token);
    for (const { metatype, isNotMetatype } of [...providers.values(), ...controllers.values()]) {
      if (isNotMetatype || typeof metatype !== 'function') continue;
      for (const { key, decorator, token, providedBy } of servedMethods(metatype.prototype as object)) {
        const { methods } = waiting.get(token) ?? put(waiting, token, { providedBy, methods: new Set() });
        methods.add(`${metatype.name}.${String(key)} (${decorator})`);
      }
    }
  }
  return [...waiting]
    .filter(([token]) => !provided.has(token))
    .map(
      ([, { providedBy, methods }]) =>
        `Nothing calls ${[...methods].join(', ')} in this app. Import ${providedBy}, or leave these providers out`,
    );
}

function put<K, V>(map: Map<K, V>, key: K, value: V): V {
  map.set(key, value);
  return value;
}
