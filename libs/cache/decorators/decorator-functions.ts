import { checkKey } from '../../redis/index.js';
import { badOption, type WovenCall } from '../../weave/index.js';

/** A function in a decorator's options, as it is called: on the method's object. */
export type FromCall<R> = (this: object, ...args: unknown[]) => R;

/** What such a function, if there is one, says of a call. */
export function fromCall<R>(f: FromCall<R> | undefined, call: WovenCall, args: readonly unknown[]): R | undefined {
  return f && Reflect.apply<object, unknown[], R>(f, call.self, [...args]);
}

/** A decorator's `key`, if it has one: a function of the call, or a text that is the key of every call. */
export function keyOption(value: unknown, path: string): FromCall<unknown> | undefined {
  if (value === undefined || typeof value === 'function') return value as FromCall<unknown> | undefined;
  if (typeof value !== 'string' || value === '') throw badOption(path, 'a function or a non-empty string', value);
  checkKey(value);
  return () => value;
}
