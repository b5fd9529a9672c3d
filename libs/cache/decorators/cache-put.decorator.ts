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
  /** The key under which the result is stored: always the same, or from the method's arguments and its object (`this`). */
  key: string | KeyFunction<T, A>;
  tags?: readonly string[];
  /** Further tags, from what the method returned. */
  resultTags?: (this: T, result: V) => readonly string[];
  /** Stores only when this is true of the arguments. */
  when?: (this: T, ...args: W) => boolean;
  /** Does not store when this is true of what the method returned. */
  unless?: (this: T, result: V) => boolean;
}

/**
 * Stores what an async method returned, once it has succeeded. When its promise resolves, the value is stored, and no load
 * that began before replaces it.
 *
 * The caller gets the method's own result. It rejects with a RedisUnavailableError when Redis did not confirm, and with
 * `SLUICE_CACHE_UNSERIALIZABLE` when the result is no data, though the method has done its work. Two calls at once store in
 * the order in which they end, which need not be that of their writes: where that matters, `@CacheEvict`.
 * `cache.methods['Class.method']` of the module's options outranks the options given here.
 *
 * @example
 * @CachePut({ key: (user: User) => `user:${user.id}`, ttlMs: 60_000 })
 * async save(user: User): Promise<User> {}
 */
export function CachePut<T extends object = object, A extends unknown[] = [], W extends unknown[] = [], V = unknown>(
  options: PutOptions<T, A, W, V>,
): AsyncMethodDecoratorOf<T, [A, W], V> {
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
    // Not before: what is stored for the first time may get its id by that.
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
