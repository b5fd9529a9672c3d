import type { ExistingProvider } from '@nestjs/common';
import { type Holder, type InjectedClass, processState } from './process-state.js';
import { SluiceError } from '../sluice.error.js';

const BRAND = Symbol.for('sluice:service');

type Bindings = Record<symbol, Holder | undefined>;

/**
 * Where Nest assigns the service: an accessor on the prototype of a class with decorated methods. Nest shows this text when it
 * does not find the service. It names the feature, which the options of SluiceModule may have left out.
 */
export const injectionKey = (token: string): symbol =>
  Symbol.for(`${token} of a decorated method: import SluiceModule, in tests SluiceTestingModule. ${addFeature(token)}`);

/** The second half of a fix: the options of SluiceModule may have left out the feature of this service. */
export function addFeature(token: string): string {
  return `If its features are listed, add '${token.replace(/^sluice:|-service$/g, '')}'`;
}

/** The hidden property of an object that keeps the service. */
const bindingKey = (token: string): symbol => Symbol.for(`sluice:bound:${token}`);

/** The value in place of a service that makes the body of a decorated method run alone. */
export const UNPROTECTED = Symbol.for('sluice:unprotected');

/**
 * The class by which Nest injects the service behind `token` into objects with decorated methods. It is a class because functions
 * that make mocks (`useMocker`) expect classes: they use a text as the mock itself, or make no mock. There is one class per
 * process, as there is one `token`.
 */
export function injectedClass(token: string): InjectedClass {
  const known = processState.injected.get(token);
  if (known) return known;
  const made = class SluiceServiceOfDecorators {
    readonly token = token;
  };
  processState.injected.set(token, made);
  return made;
}

/**
 * The provider that every module with the service behind `token` has, and exports, beside it.
 *
 * @example
 * providers: [{ provide: LOCK_SERVICE, useClass: LockService }, injectedProvider(LOCK_SERVICE)]
 */
export function injectedProvider(token: string): ExistingProvider<object> {
  return { provide: injectedClass(token), useExisting: token };
}

/**
 * Marks an object as the genuine service behind `token`; decorated methods accept no other.
 *
 * A mock that answers every property (`useMocker` puts such mocks in place of missing providers) would take the
 * method's body as a callback and never call it. Therefore the value of the brand is the token itself: no mock answers that.
 *
 * @example
 * constructor() {
 *   brandService(this, LOCK_SERVICE);
 * }
 */
export function brandService<S extends object>(service: S, token: string): S {
  return Object.defineProperty(service, BRAND, { value: token, configurable: true });
}

/** True for an object that {@link brandService} marked with this token, also through a Proxy around it. */
export function isService(candidate: unknown, token: string): candidate is object {
  return (
    ((typeof candidate === 'object' && candidate !== null) || typeof candidate === 'function') &&
    (candidate as { [BRAND]?: unknown })[BRAND] === token
  );
}

/**
 * Gives a prototype the accessor that Nest's property injection assigns to. The setter keeps the service on the
 * *receiver*, in a property that is not enumerable: the property is invisible to `JSON.stringify`, `toEqual`, spread and
 * `inspect`. A property, unlike a WeakMap, is also found through the Proxies of an `instanceDecorator`.
 */
export function openForInjection(prototype: object, token: string): void {
  const key = injectionKey(token);
  if (key in prototype) return;
  Object.defineProperty(prototype, key, {
    configurable: true,
    get(this: object) {
      return this; // `keep` reads this to get the object behind a Proxy
    },
    set(this: object, service: unknown) {
      keep(this, token, service);
    },
  });
}

/** The place of the value that is bound to the object under `token`, `undefined` if there is none. */
export function holderOf(object: object, token: string): Holder | undefined {
  const key = bindingKey(token);
  return (object as Bindings)[key] ?? processState.frozen.get(object)?.get(key);
}

/**
 * Binds a service to an object that Nest did not construct. An object works for one app at a time: with two apps, a call
 * could not tell which app's service to use. The binding of a closed app is replaced.
 */
export function bindService(object: object, token: string, service: object): void {
  const current = holderOf(object, token)?.service;
  if (current === service) return;
  if (isService(current, token) && processState.booted.has(current) && !processState.retired.has(current)) {
    throw boundTwice(object, token);
  }
  keep(object, token, service);
}

/**
 * Makes the bodies of the object's methods that are decorated with `token` run alone.
 *
 * @throws SluiceError `SLUICE_BOUND_TWICE` for an object of a running app
 */
export function unprotect(object: object, token: string): void {
  const current = holderOf(object, token)?.service;
  if (isService(current, token) && !processState.retired.has(current)) {
    throw new SluiceError(
      'SLUICE_BOUND_TWICE',
      `unprotected: this ${nameOfClass(object)} object belongs to an app. Make one of your own, with new ${nameOfClass(object)}(…)`,
    );
  }
  keep(object, token, UNPROTECTED);
}

/** The error for an object that two running apps want to bind. */
export function boundTwice(object: object, token: string): SluiceError {
  return new SluiceError(
    'SLUICE_BOUND_TWICE',
    `One ${nameOfClass(object)} object is bound by two running apps, and a call could not tell whose '${token}' to use. ` +
      'Give each app an object of its own (useFactory), or close the first app (await app.close()) before the second starts.',
  );
}

function keep(object: object, token: string, service: unknown): void {
  const key = bindingKey(token);
  const own = Object.hasOwn(object, key) ? (object as Bindings)[key] : undefined;
  if (own) {
    own.service = service;
    own.isChecked = false;
    return;
  }
  const holder: Holder = { service, isChecked: false };
  // Configurable: with a fixed property, a Proxy that wraps every value it returns would break the rules of its `get` trap.
  if (Reflect.defineProperty(object, key, { value: holder, configurable: true })) return;
  // A frozen object. With a Proxy around it (as @nestjs/observe makes), a method may get the object or the Proxy as `this`.
  const behind = (object as Record<symbol, object | undefined>)[injectionKey(token)] ?? object;
  for (const alias of [object, behind]) {
    const kept = processState.frozen.get(alias) ?? new Map<symbol, Holder>();
    processState.frozen.set(alias, kept.set(key, holder));
  }
}

/** The name of an object's class, for messages and default keys. */
export function nameOfClass(object: object): string {
  const { constructor } = object as { constructor?: unknown };
  return typeof constructor === 'function' ? constructor.name : 'anonymous';
}
