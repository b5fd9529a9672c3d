import type { WovenCall } from '../weave/index.js';

/** A function in a decorator's options, as it is called: on the method's object. */
export type FromCall<R> = (this: object, ...args: unknown[]) => R;

/** What such a function, if there is one, says of a call. */
export function fromCall<R>(f: FromCall<R> | undefined, call: WovenCall, args: readonly unknown[]): R | undefined {
  return f && Reflect.apply<object, unknown[], R>(f, call.self, [...args]);
}
