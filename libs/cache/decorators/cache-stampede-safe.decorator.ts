import { checkKey } from '../../redis/index.js';
import {
  badOption,
  weaveMethod,
  type AsyncMethodDecoratorOf,
  type KeyFunction,
  type WovenCall,
} from '../../weave/index.js';
import { resolveLayer, type CacheOptions } from '../cache.options.js';
import type { LoadOptions } from '../load-options.js';
import type { CacheService } from '../cache.service.js';
import { CACHE_SERVICE } from '../cache.tokens.js';
import { type FromCall, holds, keyOption, refuseStaticKey } from './decorator-functions.js';
import { encodeTags } from '../store/tags.js';

/** Options of {@link CacheStampedeSafe}. */
export interface StampedeSafeOptions<
  T extends object,
  A extends unknown[],
  B extends unknown[] = [],
  W extends unknown[] = [],
  V = unknown,
> extends Omit<CacheOptions<V>, 'tags' | 'resultTags' | 'unless'> {
  /**
   * The key of a call, computed from the method's arguments and its object (`this`). A string is the key of every call, and is
   * allowed only for methods without parameters. Default: the class of the object, the method, and a hash of the arguments,
   * within the namespace.
   */
  key?: string | KeyFunction<T, A>;
  /**
   * The tags by which `CacheService.invalidateTags` finds the value: fixed ones, or computed from the method's arguments and its
   * object (`this`).
   */
  tags?: readonly string[] | ((this: T, ...args: B) => readonly string[]);
  /** Further tags, computed from the result. A load that began before one of them was invalidated is never stored. */
  resultTags?: (result: V) => readonly string[];
  /** Uses the cache only if this returns true for the arguments. Otherwise the method just runs. */
  when?: (this: T, ...args: W) => boolean;
  /** Does not store a result for which this returns true. Its callers get the result, and the next call loads again. */
  unless?: (result: V) => boolean;
}

/**
 * Caches the result of an async method. If 100 callers in the whole fleet miss it at once, the body runs once.
 *
 * Guarantees and errors are those of `CacheService.getOrLoad`, with the body as the loader. A result of `null` or `undefined` is
 * cached for `negativeTtlMs`. So the body of a method without a result (`Promise<void>`) runs once in that time. Without a key, arguments must be
 * plain data (`SLUICE_CACHE_BAD_ARGUMENTS`). The boot then fails with `SLUICE_CACHE_KEY_REQUIRED` where a default key would not
 * be safe: no namespace, a request-scoped or transient provider, a class that is provided twice, two decorated classes of one
 * name, a class name that a minifier may have made, a method named by a symbol.
 * `cache.methods['Class.method']` of the module's options takes precedence over the options given here.
 *
 * @example
 * @CacheStampedeSafe({ key: (id: string) => `user:${id}`, ttlMs: 60_000 })
 * async user(id: string): Promise<User> {}
 */
export function CacheStampedeSafe<
  T extends object = object,
  A extends unknown[] = [],
  B extends unknown[] = [],
  W extends unknown[] = [],
  V = unknown,
>(options: StampedeSafeOptions<T, A, B, W, V> = {}): AsyncMethodDecoratorOf<T, [A, B, W], V> {
  const { key, tags, when, ...rest } = options;
  const ofCall = typeof tags === 'function' ? (tags as (this: object, ...args: unknown[]) => unknown) : undefined;
  const declared = resolveLayer('@CacheStampedeSafe options', ofCall ? rest : { ...rest, tags });
  const keyFunction = keyOption(key, '@CacheStampedeSafe options.key');
  if (when !== undefined && typeof when !== 'function')
    throw badOption('@CacheStampedeSafe options.when', 'a function', when);
  const condition = when as FromCall<boolean> | undefined;
  const resolved = new WeakMap<CacheService, Map<string, LoadOptions>>();

  const optionsOf = (service: CacheService, method: string): LoadOptions => {
    const byMethod = resolved.get(service) ?? new Map<string, LoadOptions>();
    resolved.set(service, byMethod);
    let found = byMethod.get(method);
    if (!found) byMethod.set(method, (found = service.methodOptions(method, declared)));
    return found;
  };

  const weave = weaveMethod<CacheService>(
    {
      decorator: '@CacheStampedeSafe',
      token: CACHE_SERVICE,
      check: (site, service) => {
        if (!keyFunction) service.defaultKeys.check(site);
        service.noteMethod(`${site.className}.${site.method}`);
      },
    },
    (service, call) => {
      if (holds(condition, 'when', call, call.args) === false) return call.proceed();
      const cacheKey = keyFunction
        ? checkKey(Reflect.apply(keyFunction, call.self, call.args))
        : service.defaultKeys.keyOf(call);
      const method = `${call.className}.${call.method}`;
      const options = optionsOf(service, method);
      return service.load(cacheKey, () => call.proceed(), ofCall ? withTags(options, call, ofCall) : options, method);
    },
  );
  return (target, name, descriptor) => {
    // Before the method is wrapped: a wrapper does not show its source.
    const method: unknown = (descriptor as PropertyDescriptor | undefined)?.value;
    weave(target, name, descriptor);
    refuseStaticKey(key, `@CacheStampedeSafe options.key of ${target.constructor.name}.${String(name)}`, method);
  };
}

/** Adds the tags of the call to the tags that the options give the method. */
function withTags(
  options: LoadOptions,
  call: WovenCall,
  ofCall: (this: object, ...args: unknown[]) => unknown,
): LoadOptions {
  const tags = encodeTags(`tags of ${call.className}.${call.method}`, Reflect.apply(ofCall, call.self, call.args));
  return { ...options, tags: [...new Set([...options.tags, ...tags])] };
}
