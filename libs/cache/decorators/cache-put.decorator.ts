import { checkKey } from '../../redis/index.js';
import {
  badOption,
  fn,
  resolveOptions,
  weaveMethod,
  type AsyncMethodDecoratorOf,
  type KeyFunction,
  type Weaver,
} from '../../weave/index.js';
import { resolveSetLayer, type SetOptions } from '../cache.options.js';
import type { CacheService } from '../cache.service.js';
import { CACHE_SERVICE } from '../cache.tokens.js';
import { type FromCall, fromCall, holds, keyOption } from './decorator-functions.js';

/** Options of {@link CachePut}. */
export interface PutOptions<T extends object, A extends unknown[], W extends unknown[], V> extends Omit<
  SetOptions,
  'tags'
> {
  /** The key of the stored result: a fixed one, or computed from the method's arguments and its object (`this`). */
  key: string | KeyFunction<T, A>;
  tags?: readonly string[];
  /** Further tags, computed from the method's result. */
  resultTags?: (this: T, result: V) => readonly string[];
  /** Stores only if this returns true for the arguments. */
  when?: (this: T, ...args: W) => boolean;
  /** Does not store if this returns true for the method's result. */
  unless?: (this: T, result: V) => boolean;
}

/**
 * Stores the result of an async method once the method has succeeded. When the promise resolves, the value is stored, and no
 * load that began before replaces it.
 *
 * A result of `null` or `undefined` is stored as well: "there is none", for `negativeTtlMs`. A method without a result
 * (`Promise<void>`) would put that in the place of the value, so the types refuse it. Use `@CacheEvict` there, or return what
 * is to be read.
 *
 * The caller gets the method's own result. The promise rejects with a RedisUnavailableError if Redis did not confirm, and with
 * `SLUICE_CACHE_UNSERIALIZABLE` if the result is not data, although the method has done its work. Two calls that run at the
 * same time store in the order in which they end. That need not be the order of their writes: use `@CacheEvict` where it
 * matters. `cache.methods['Class.method']` of the module's options takes precedence over the options given here.
 *
 * @example
 * @CachePut({ key: (user: User) => `user:${user.id}`, ttlMs: 60_000 })
 * async save(user: User): Promise<User> {}
 */
export function CachePut<T extends object = object, A extends unknown[] = [], W extends unknown[] = [], V = unknown>(
  options: PutOptions<T, A, W, V>,
): AsyncMethodDecoratorOf<T, [A, W], V, void> {
  const { key, when, unless, resultTags, ...rest } = options;
  const path = '@CachePut options';
  const functions = resolveOptions<PutFunctions>(
    path,
    { key, when, unless, resultTags },
    { key: required, when: fn(), unless: fn(), resultTags: fn() },
  );
  const declared = resolveSetLayer(path, rest);
  const weaver: Weaver<CacheService> = {
    decorator: '@CachePut',
    token: CACHE_SERVICE,
    check: ({ className, method }, service) => {
      service.noteMethod(`${className}.${method}`);
    },
  };
  return weaveMethod(weaver, async (service, call) => {
    const loads = service.methodOptions(`${call.className}.${call.method}`, declared);
    if (holds(functions.when, 'when', call, call.args) === false) return call.proceed();
    const result = await call.proceed();
    if (holds(functions.unless, 'unless', call, [result]) === true) return result;
    // Only after the method has run: an object that is saved for the first time may get its id from the method.
    const cacheKey = checkKey(fromCall(functions.key, call, call.args));
    const tags = fromCall(functions.resultTags, call, [result]) ?? [];
    await service.put(cacheKey, result, loads, tags);
    return result;
  });
}

interface PutFunctions {
  readonly key: FromCall<unknown>;
  readonly when: FromCall<boolean> | undefined;
  readonly unless: FromCall<boolean> | undefined;
  readonly resultTags: FromCall<readonly string[]> | undefined;
}

function required(value: unknown, path: string): FromCall<unknown> {
  const key = keyOption(value, path);
  if (key) return key;
  throw badOption(path, 'a function or a non-empty string', value);
}
