import {
  badOption,
  flag,
  fn,
  resolveOptions,
  weaveMethod,
  type AsyncMethodDecoratorOf,
  type WovenCall,
} from '../weave/index.js';
import { CACHE_SERVICE, type CacheService } from './cache.service.js';
import { fromCall, type FromCall } from './from-call.js';

/** Options of {@link CacheEvict}: a key, tags, or both. */
export interface EvictOptions<T extends object, A extends unknown[], B extends unknown[], W extends unknown[], V> {
  /** The key that goes, or several, from the method's arguments and its object (`this`). */
  key?: (this: T, ...args: A) => string | readonly string[];
  /** The tags whose values go: always the same, or from the arguments. */
  tags?: readonly string[] | ((this: T, ...args: B) => readonly string[]);
  /** Further tags, from what the method returned. */
  resultTags?: (this: T, result: V) => readonly string[];
  /**
   * Evicts before the method runs, and so also when it fails, instead of after its success. Whoever reads meanwhile caches what
   * the method is about to change: for methods that destroy what the cache was loaded from. Default false.
   */
  before?: boolean;
  /** Evicts only when this is true of the arguments. */
  when?: (this: T, ...args: W) => boolean;
  /** Does not evict when this is true of what the method returned. */
  unless?: (this: T, result: V) => boolean;
}

/**
 * Removes values from the cache once an async method has succeeded. When its promise resolves, the invalidation is acknowledged:
 * no load that began before is ever stored.
 *
 * It rejects with a RedisUnavailableError when the invalidation was not confirmed, though the method has done its work: try
 * the eviction again, not the method. A method that fails evicts nothing.
 *
 * @example
 * @CacheEvict({ key: (user: User) => `user:${user.id}`, tags: ['users'] })
 * async save(user: User): Promise<void> {}
 */
export function CacheEvict<
  T extends object = object,
  A extends unknown[] = [],
  B extends unknown[] = [],
  W extends unknown[] = [],
  V = unknown,
>(options: EvictOptions<T, A, B, W, V>): AsyncMethodDecoratorOf<T, [A, B, W], V> {
  const eviction = resolveEviction(options);
  return weaveMethod<CacheService>({ decorator: '@CacheEvict', token: CACHE_SERVICE }, async (service, call) => {
    if (fromCall(eviction.when, call, call.args) === false) return call.proceed();
    if (eviction.before) {
      await evict(service, keysOf(eviction, call), tagsOf(eviction, call));
      return call.proceed();
    }
    const result = await call.proceed();
    if (fromCall(eviction.unless, call, [result])) return result;
    const tags = [...tagsOf(eviction, call), ...(fromCall(eviction.resultTags, call, [result]) ?? [])];
    await evict(service, keysOf(eviction, call), tags);
    return result;
  });
}

interface Eviction {
  readonly key: FromCall<string | readonly string[]> | undefined;
  readonly tags: readonly string[] | FromCall<readonly string[]> | undefined;
  readonly resultTags: FromCall<readonly string[]> | undefined;
  readonly before: boolean;
  readonly when: FromCall<boolean> | undefined;
  readonly unless: FromCall<boolean> | undefined;
}

function resolveEviction(options: unknown): Eviction {
  const path = '@CacheEvict options';
  const eviction = resolveOptions<Eviction>(path, options, {
    key: fn(),
    tags: listOrFunction,
    resultTags: fn(),
    before: flag(false),
    when: fn(),
    unless: fn(),
  });
  const { key, tags, resultTags, before, unless } = eviction;
  if (!key && !tags && !resultTags)
    throw badOption(path, 'with a key, tags or resultTags: else nothing is evicted', options);
  if (before && (resultTags ?? unless)) {
    throw badOption(
      `${path}.before`,
      'left out with resultTags or unless: before the method there is no result',
      before,
    );
  }
  return eviction;
}

function listOrFunction(value: unknown, path: string): Eviction['tags'] {
  if (value === undefined || typeof value === 'function') return value as Eviction['tags'];
  if (Array.isArray(value) && value.every((tag) => typeof tag === 'string' && tag !== '')) return value as string[];
  throw badOption(path, 'a list of non-empty strings, or a function that returns one', value);
}

function keysOf({ key }: Eviction, call: WovenCall): readonly string[] {
  const keys = fromCall(key, call, call.args) ?? [];
  return typeof keys === 'string' ? [keys] : keys;
}

function tagsOf({ tags }: Eviction, call: WovenCall): readonly string[] {
  return (typeof tags === 'function' ? fromCall(tags, call, call.args) : tags) ?? [];
}

/** All at once; whatever fails, the others are waited for. */
async function evict(service: CacheService, keys: readonly string[], tags: readonly string[]): Promise<void> {
  const pending: Promise<unknown>[] = keys.map((key) => service.delete(key));
  if (tags.length > 0) pending.push(service.invalidateTags(...tags));
  for (const settled of await Promise.allSettled(pending)) if (settled.status === 'rejected') throw settled.reason;
}
