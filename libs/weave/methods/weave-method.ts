import { Inject } from '@nestjs/common';
import { asPromise } from './as-promise.js';
import {
  UNPROTECTED,
  holderOf,
  injectedClass,
  injectionKey,
  isService,
  nameOfClass,
  openForInjection,
} from '../binding/bound-service.js';
import { processState, type Holder } from '../binding/process-state.js';
import { copyMethodMetadata } from './copy-method-metadata.js';
import { returnedShape } from './returned-shape.js';
import { SluiceError } from '../sluice.error.js';
import { type AnyMethod, WovenCall, metadataOf, type WovenFunction } from './woven-call.js';
import { type Class, noteWovenMethod, type Weaver } from './woven-methods.js';

/** The untyped decorator of {@link weaveMethod}. Features narrow it to an `AsyncMethodDecorator`. */
export type WeaveDecorator = (target: object, key: string | symbol, descriptor: PropertyDescriptor) => void;

/**
 * Builds a method decorator that passes every call, with the app's own service, to `around`.
 *
 * The method is wrapped when its class is defined. Routes, `@Cron`, self-calls and calls between services all use the
 * wrapper, in every scope, and other decorators may be above and below in any order. Nest injects the service
 * into each object (`token`). A call on an object without the genuine service rejects with `SLUICE_NOT_BOUND` and
 * never reaches the body. The wrapped method returns a promise, or with `holdsResults` what `returnedShape` says. An
 * error of the body reaches the caller unchanged (`===`).
 * Static methods, generators (with `holdsResults`: sync ones), accessors and properties are refused with
 * `SLUICE_BAD_DECORATION`.
 */
export function weaveMethod<S extends object>(
  weaver: Weaver<S>,
  around: (service: S, call: WovenCall) => unknown,
): WeaveDecorator {
  return (target, key, descriptor) => {
    const original = methodToWeave(weaver, target, key, descriptor);
    const start = (self: unknown, args: unknown[]): Promise<unknown> =>
      asPromise(() => {
        const service = boundService(weaver, woven, self);
        const call = new WovenCall(woven, self as object, args);
        return service === UNPROTECTED ? call.proceed() : around(service, call);
      });
    const shape = weaver.holdsResults === true ? returnedShape(target, key, original) : undefined;
    const enter =
      shape === undefined
        ? (_original: AnyMethod, self: unknown, args: unknown[]) => start(self, args)
        : (_original: AnyMethod, self: unknown, args: unknown[]) => shape(() => start(self, args));
    let isIdle: boolean | undefined;
    const wrapper: AnyMethod = new Proxy(original, {
      apply:
        weaver.isIdle === undefined
          ? enter
          : (_original, self: unknown, args: unknown[]) => {
              isIdle ??= weaver.isIdle?.((metadataKey) => metadataOf(woven, metadataKey)) === true;
              return isIdle ? Reflect.apply(original, self, args) : enter(original, self, args);
            },
    });
    const woven: WovenFunction = { prototype: target, key, original, wrapper, weaver };
    copyMethodMetadata(original, wrapper);
    descriptor.value = wrapper;

    openForInjection(target, weaver.token);
    Inject(injectedClass(weaver.token))(target, injectionKey(weaver.token));
    noteWovenMethod(target, { weaver, key, declaredBy: target.constructor as Class, original });
  };
}

function methodToWeave(weaver: Weaver<never>, target: object, key: unknown, descriptor: unknown): AnyMethod {
  const refuse = (why: string): SluiceError =>
    new SluiceError('SLUICE_BAD_DECORATION', `${weaver.decorator} on ${where(target, key)}: ${why}`);

  if (typeof key === 'object' && key !== null) {
    throw refuse("compile with TypeScript's experimentalDecorators, as Nest does");
  }
  if (typeof target === 'function') {
    throw refuse(
      key === undefined
        ? 'it decorates methods, not classes'
        : 'a static method has no object to inject a service into; make it a method of a provider',
    );
  }
  const value: unknown = (descriptor as PropertyDescriptor | undefined)?.value;
  if (typeof value !== 'function') throw refuse('it decorates methods, not properties or accessors');
  const tag = Object.prototype.toString.call(value);
  if (tag === '[object GeneratorFunction]' || (tag === '[object AsyncGeneratorFunction]' && !weaver.holdsResults)) {
    throw refuse('a generator returns before its body runs; it decorates async methods');
  }
  return value as AnyMethod;
}

function where(target: object, key: unknown): string {
  const owner = typeof target === 'function' ? target.name : nameOfClass(target);
  return typeof key === 'string' || typeof key === 'symbol' ? `${owner}.${String(key)}` : owner;
}

/** The genuine service bound to the object, or an error: a body runs unprotected only where a test asks for that. */
function boundService<S extends object>(
  weaver: Weaver<S>,
  woven: WovenFunction,
  self: unknown,
): S | typeof UNPROTECTED {
  const { token } = weaver;
  if (typeof self !== 'object' || self === null) {
    throw notBound(
      weaver,
      woven,
      woven.prototype,
      'the method was called without its object. Call it as object.method(), or bind it',
    );
  }
  const holder = holderOf(self, token);
  const service = holder?.service;
  if (holder !== undefined && isService(service, token)) {
    if (!holder.isChecked) checkLate(self, holder, token, service);
    return service as S;
  }
  if (service === UNPROTECTED) return UNPROTECTED;
  throw notBound(
    weaver,
    woven,
    self,
    service === undefined
      ? `its object has no '${token}' service. Let Nest provide it in an app that imports SluiceModule ` +
          '(in tests: SluiceTestingModule) and was initialised; an object that you made yourself needs bindSluice(object). ' +
          UNIT_TEST
      : `what stands in for its '${token}' service is not one (a mock, as useMocker puts there?). ` +
          `Import SluiceTestingModule, which needs no Redis. ${UNIT_TEST}`,
  );
}

const UNIT_TEST = "A test of the body alone calls unprotected(object), of 'nestjs-sluice/testing'";

/** An object that was made after the boot passes the checks of the boot at its first call. */
function checkLate(self: object, holder: Holder, token: string, service: object): void {
  for (const app of processState.apps) {
    if (!app.checkLate(self, token, service)) continue;
    holder.isChecked = true;
    return;
  }
}

function notBound(weaver: Weaver<never>, woven: WovenFunction, object: object, why: string): SluiceError {
  return new SluiceError('SLUICE_NOT_BOUND', `${where(object, woven.key)} (${weaver.decorator}) did not run: ${why}.`);
}
