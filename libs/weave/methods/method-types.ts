import type { Observable } from 'rxjs';

/** Derives a key from a call. The object is `this`; the parameters are the leading parameters of the method. */
export type KeyFunction<T, A extends unknown[]> = (this: T, ...args: A) => string;

/** A method result that goes on after the method returned, in a form that its caller can use without `await`. */
type OngoingResult = Observable<unknown> | (AsyncIterable<unknown> & NoStream);

/** A stream is returned by a promise: a call cannot return it before the lock is held. */
interface NoStream {
  readonly pipe?: never;
  readonly getReader?: never;
}

/**
 * A decorator of methods that return a promise, an Observable or an async iterable. The object of the method is a `T`, and a
 * `KeyFunction<T, A>` can be called with the method's parameters. `R` is the value that the decorator itself may return in
 * place of the body (`undefined` for `onBusy: 'skip'`): the method's promise must allow it.
 *
 * @example
 * function WithLock<T extends object, A extends unknown[]>(key: KeyFunction<T, A>): AsyncMethodDecorator<T, A>;
 */
export type AsyncMethodDecorator<T extends object = object, A extends unknown[] = [], R = never> = <
  M extends (...args: never[]) => Promise<unknown> | OngoingResult,
  P extends Fitting<A>,
>(
  target: T & InstanceSide,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<M> & Takes<[A], P, M> & MayReturn<R, M>,
) => void;

/**
 * A decorator whose options hold several functions: each takes leading parameters of the method (one tuple of `As` per
 * function), or its result (`V`). A method that returns a promise of exactly `Refused` is refused.
 *
 * @example
 * function CacheEvict<T extends object, A extends unknown[], W extends unknown[], V>(
 *   options: { key: KeyFunction<T, A>; when?: (this: T, ...args: W) => boolean; unless?: (this: T, result: V) => boolean },
 * ): AsyncMethodDecoratorOf<T, [A, W], V>;
 */
export type AsyncMethodDecoratorOf<T extends object, As extends unknown[][], V, Refused = never> = <
  M extends (...args: never[]) => Promise<unknown>,
  P extends FittingAll<As>,
>(
  target: T & InstanceSide,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<M> & Takes<As, P, M> & TakesResult<V> & Refuses<Refused, M>,
) => void;

/** Not a class itself: the decorated method must not be static. */
interface InstanceSide {
  readonly prototype?: never;
}

/**
 * The parameters of the methods that a function of `A` can be called with: those of `A`, and any further ones.
 *
 * The parameters of the method are a type parameter with this constraint. TypeScript checks a constraint by assignment, which
 * knows the constraints of other type parameters, so that the methods of a generic class fit as well. (A conditional type
 * would ignore them.)
 */
type Fitting<A extends unknown[]> = number extends A['length'] ? A : [...A, ...unknown[]];

type FittingAll<As extends unknown[][]> = As extends [infer A extends unknown[], ...infer Rest extends unknown[][]]
  ? Fitting<A> & FittingAll<Rest>
  : unknown[];

/**
 * `P` is the method's own parameters. When they do not fit, TypeScript puts the constraint in the place of `P`. Only a rest
 * parameter may still fit then: it stands for any number of arguments.
 */
type Takes<As extends unknown[][], P extends unknown[], M extends (...args: never[]) => unknown> = {
  value?: ((...args: P) => unknown) | M;
} & ([Parameters<M>] extends [P]
  ? unknown
  : number extends Parameters<M>['length']
    ? TakesRest<As, M>
    : { readonly 'the function does not fit the parameters of the method': Parameters<M> });

type TakesRest<As extends unknown[][], M extends (...args: never[]) => unknown> = As extends [
  infer A extends unknown[],
  ...infer Rest extends unknown[][],
]
  ? ((...args: A) => void) extends (...args: Parameters<M>) => void
    ? TakesRest<Rest, M>
    : { readonly 'the function does not fit the parameters of the method': Parameters<M> }
  : unknown;

/** The method's result fits a function of `V`, by assignment as well. */
interface TakesResult<V> {
  value?: (...args: never[]) => Promise<V>;
}

type MayReturn<R, M extends (...args: never[]) => unknown> = [R] extends [Awaited<ReturnType<M>>]
  ? unknown
  : { readonly 'the promise of the method does not allow what the decorator may return': R };

type Refuses<R, M extends (...args: never[]) => unknown> = [R] extends [never]
  ? unknown
  : Same<ReturnType<M>, Promise<R>> extends true
    ? { readonly 'the decorator has no use for this result': R }
    : unknown;

/** Two types are the same only if TypeScript cannot tell these functions apart. Assignment alone takes `any` for every type. */
type Same<A, B> = (<X>(of: X) => X extends A ? 1 : 2) extends <X>(of: X) => X extends B ? 1 : 2 ? true : false;
