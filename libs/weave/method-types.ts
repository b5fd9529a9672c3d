/** A function that derives a key from a call: it gets the method's object as `this`, and its leading arguments. */
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

type MayReturn<R, M extends (...args: never[]) => unknown> = [R] extends [Awaited<ReturnType<M>>]
  ? unknown
  : { readonly 'the promise of the method does not allow what the decorator may return': R };
