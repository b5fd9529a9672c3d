import 'reflect-metadata';
import { from, mergeMap, Observable, of, type Observer, type OperatorFunction, type Subscription } from 'rxjs';
import { toObservable } from '../results/held-observable.js';
import { dropResult } from '../results/hold-until-end.js';
import { ongoingKind } from '../results/ongoing-result.js';
import type { AnyMethod } from './woven-call.js';

/** The name under which rxjs, of any copy, looks for the Observable protocol. */
const OBSERVABLE: symbol | '@@observable' = (Symbol as { observable?: symbol }).observable ?? '@@observable';

/** Makes the value that a woven method returns from the promise of its outcome. */
type ReturnedShape = (start: () => Promise<unknown>) => unknown;

/**
 * How a woven method returns its result, so that the declared return type stays true although the service has to be asked first:
 *
 * - an async method: a promise;
 * - an async generator function: an async generator, which starts with the first `next`;
 * - a method whose return type is an Observable by TypeScript's metadata: an Observable, which starts with the subscription;
 * - any other method: a promise that can also be iterated and subscribed to.
 */
export function returnedShape(target: object, key: string | symbol, original: AnyMethod): ReturnedShape {
  const tag = Object.prototype.toString.call(original);
  if (tag === '[object AsyncGeneratorFunction]') return asGenerator;
  const declared: unknown = Reflect.getMetadata('design:returntype', target, key);
  if (tag === '[object AsyncFunction]' || declared === Promise) return (start) => start();
  return isObservableClass(declared)
    ? asObservable
    : (start) =>
        new ResultPromise((resolve) => {
          resolve(start());
        });
}

function isObservableClass(declared: unknown): boolean {
  if (typeof declared !== 'function') return false;
  const { prototype } = declared as { prototype?: { subscribe?: unknown; lift?: unknown } };
  return typeof prototype?.subscribe === 'function' && typeof prototype.lift === 'function';
}

async function* asGenerator(start: () => Promise<unknown>): AsyncGenerator<unknown, unknown> {
  const result = await start();
  return ongoingKind(result) === 'async iterable' ? yield* result as AsyncGenerator<unknown, unknown> : result;
}

function asObservable(start: () => Promise<unknown>): Observable<unknown> {
  return new Observable((subscriber) => {
    const outcome = start();
    // The subscriber has left while the service was being asked, so the result must not hold anything.
    subscriber.add(() => void outcome.then(dropResult, () => {}));
    return from(outcome)
      .pipe(mergeMap((result) => (ongoingKind(result) === 'Observable' ? toObservable(result) : of(result))))
      .subscribe(subscriber);
  });
}

/** The promise of a method that is not declared `async`: its result may be an async iterable or an Observable. */
class ResultPromise extends Promise<unknown> {
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  [Symbol.asyncIterator](): AsyncGenerator<unknown, unknown> {
    return asGenerator(() => this);
  }

  subscribe(observer?: Partial<Observer<unknown>> | ((value: unknown) => void)): Subscription {
    return asObservable(() => this.#plain()).subscribe(observer as Partial<Observer<unknown>>);
  }

  pipe(...operators: [OperatorFunction<unknown, unknown>]): Observable<unknown> {
    return asObservable(() => this.#plain()).pipe(...operators);
  }

  /** Without the Observable protocol, for which rxjs looks first. */
  #plain(): Promise<unknown> {
    return this.then((result) => result);
  }

  [OBSERVABLE](): Observable<unknown> {
    return asObservable(() => this.#plain());
  }
}
