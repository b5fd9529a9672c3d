/** Derives a key from a call. The object is `this`; the parameters are the leading parameters of the method. */
export type KeyFunction<T, A extends unknown[]> = (this: T, ...args: A) => string;

/**
 * A decorator of async methods whose object is a `T` and whose parameters a `KeyFunction<T, A>` can be called with.
 * `R` is what the decorator may return by itself, in place of the body (`undefined` for `onBusy: 'skip'`): the method's
 * promise must allow it.
 *
 * @example
 * function WithLock<T extends object, A extends unknown[]>(key: KeyFunction<T, A>): AsyncMethodDecorator<T, A>;
 */
export type AsyncMethodDecorator<T extends object = object, A extends unknown[] = [], R = never> = <
  M extends (...args: never[]) => Promise<unknown>,
>(
  target: T & InstanceSide,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<M> & TakesKey<A, M> & MayReturn<R, M>,
) => void;

/**
 * A decorator whose options hold several functions: each takes leading parameters of the method (one tuple of `As` per
 * function), or its result (`V`).
 *
 * @example
 * function CacheEvict<T extends object, A extends unknown[], W extends unknown[], V>(
 *   options: { key: KeyFunction<T, A>; when?: (this: T, ...args: W) => boolean; unless?: (this: T, result: V) => boolean },
 * ): AsyncMethodDecoratorOf<T, [A, W], V>;
 */
export type AsyncMethodDecoratorOf<T extends object, As extends unknown[][], V> = <
  M extends (...args: never[]) => Promise<unknown>,
>(
  target: T & InstanceSide,
  key: string | symbol,
  descriptor: TypedPropertyDescriptor<M> & TakesAll<As, M> & TakesResult<V, M>,
) => void;

/** Not a class itself: the decorated method must not be static. */
interface InstanceSide {
  readonly prototype?: never;
}

/** A function of `A` is assignable to a function of the method's parameters exactly if it can be called with them. */
type TakesKey<A extends unknown[], M extends (...args: never[]) => unknown> = ((...args: A) => string) extends (
  ...args: Parameters<M>
) => string
  ? unknown
  : { readonly 'the key function does not fit the parameters of the method': Parameters<M> };

type TakesAll<As extends unknown[][], M extends (...args: never[]) => unknown> = As extends [
  infer A extends unknown[],
  ...infer Rest extends unknown[][],
]
  ? TakesKey<A, M> & TakesAll<Rest, M>
  : unknown;

type TakesResult<V, M extends (...args: never[]) => unknown> = [Awaited<ReturnType<M>>] extends [V]
  ? unknown
  : { readonly 'what takes the result does not take the result of the method': Awaited<ReturnType<M>> };

type MayReturn<R, M extends (...args: never[]) => unknown> = [R] extends [Awaited<ReturnType<M>>]
  ? unknown
  : { readonly 'the promise of the method does not allow what the decorator may return': R };
