import { checkKey } from '../../redis/index.js';
import { badOption, type WovenCall } from '../../weave/index.js';
import { isTrue } from '../load-options.js';

/** A function in a decorator's options, as it is called: on the method's object. */
export type FromCall<R> = (this: object, ...args: unknown[]) => R;

/** Calls such a function on the method's object. Undefined if there is no function. */
export function fromCall<R>(f: FromCall<R> | undefined, call: WovenCall, args: readonly unknown[]): R | undefined {
  return f && Reflect.apply<object, unknown[], R>(f, call.self, [...args]);
}

/**
 * Whether a decorator's `when` or `unless` holds for a call; `undefined` if there is none.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION` if the function returns neither true nor false: a promise would count as true
 */
export function holds(
  condition: FromCall<unknown> | undefined,
  name: 'when' | 'unless',
  call: WovenCall,
  args: readonly unknown[],
): boolean | undefined {
  if (condition === undefined) return undefined;
  return isTrue(`${name} of ${call.className}.${call.method}`, fromCall(condition, call, args));
}

/** A decorator's `key`, if it has one: a function of the call, or a text that is the key of every call. */
export function keyOption(value: unknown, path: string): FromCall<unknown> | undefined {
  if (value === undefined || typeof value === 'function') return value as FromCall<unknown> | undefined;
  if (typeof value !== 'string' || value === '') throw badOption(path, 'a function or a non-empty string', value);
  if (PLACEHOLDER.test(value)) {
    throw badOption(path, 'a function such as (id) => `user:${id}`: placeholders in a text are not filled in', value);
  }
  checkKey(value);
  return () => value;
}

/** `{0}`, `${id}`, `#id`: other libraries, or a template string, would replace these by an argument. */
const PLACEHOLDER = /[{}]|#\w/;

/**
 * Refuses one key for all calls of a method with parameters: the first caller's data would be served to all.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION`
 */
export function refuseStaticKey(key: unknown, path: string, method: unknown): void {
  if (typeof key !== 'string' || !hasParameters(method)) return;
  throw badOption(
    path,
    "a function of the arguments, because the method has parameters (() => 'settings' if the result depends on none of them)",
    key,
  );
}

/** `length` counts neither parameters with a default value nor rest parameters. The source shows these. */
function hasParameters(method: unknown): boolean {
  if (typeof method !== 'function') return false;
  return method.length > 0 || !hasEmptyList(Function.prototype.toString.call(method));
}

/** A comment, a quoted text, or one character. */
const TOKEN =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\[\s\S]|[^'\\])*'|"(?:\\[\s\S]|[^"\\])*"|`(?:\\[\s\S]|[^`\\])*`|[\s\S]/g;

/** Whether a function's list of parameters holds nothing but comments. A quoted or computed name may hold brackets as well. */
function hasEmptyList(source: string): boolean {
  let depth = 0;
  let isInList = false;
  for (const [token] of source.matchAll(TOKEN)) {
    if (token.trim() === '' || token.startsWith('/*') || token.startsWith('//')) continue;
    if (isInList) return token === ')';
    if (token === '[') depth++;
    else if (token === ']') depth--;
    else isInList = token === '(' && depth === 0;
  }
  return false;
}
