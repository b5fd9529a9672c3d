import { checkKey } from '../../redis/index.js';
import {
  badOption,
  checkText,
  flag,
  fn,
  optional,
  resolveOptions,
  weaveMethod,
  type AsyncMethodDecoratorOf,
  type Weaver,
  type WovenCall,
} from '../../weave/index.js';
import type { KeyOptions } from '../cache.options.js';
import type { CacheService } from '../cache.service.js';
import { CACHE_SERVICE } from '../cache.tokens.js';
import { type FromCall, fromCall, holds, keyOption } from './decorator-functions.js';
import { encodeTags } from '../store/tags.js';

/** Options of {@link CacheEvict}: a key, tags, or both. */
export interface EvictOptions<
  T extends object,
  A extends unknown[],
  B extends unknown[],
  W extends unknown[],
  V,
> extends KeyOptions {
  /** The key to remove: a fixed one, or one or several computed from the method's arguments and its object (`this`). */
  key?: string | ((this: T, ...args: A) => string | readonly string[]);
  /** The tags to invalidate: fixed ones, or computed from the arguments. */
  tags?: readonly string[] | ((this: T, ...args: B) => readonly string[]);
  /** Further tags, computed from the method's result. */
  resultTags?: (this: T, result: V) => readonly string[];
  /**
   * Evicts before the method runs, so also if the method fails. A read that runs meanwhile caches the data that the method is
   * about to change. Use it for methods that destroy the source of the cached values. Default false: evicts after success.
   */
  before?: boolean;
  /** Evicts only if this returns true for the arguments. */
  when?: (this: T, ...args: W) => boolean;
  /** Does not evict if this returns true for the method's result. */
  unless?: (this: T, result: V) => boolean;
}

/**
 * Removes values from the cache once an async method has succeeded. When its promise resolves, the invalidation is acknowledged:
 * no load that began before is ever stored.
 *
 * The promise rejects with a RedisUnavailableError if Redis did not confirm the invalidation, although the method has done its
 * work. Then repeat the eviction, not the method. A method that fails evicts nothing. An invalid key rejects with
 * `SLUICE_BAD_NAME`. The `version` of `cache.methods['Class.method']`, in the module's options, takes precedence over the
 * version given here.
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
  const declared = eviction.version === undefined ? {} : { version: eviction.version };
  const weaver: Weaver<CacheService> = {
    decorator: '@CacheEvict',
    token: CACHE_SERVICE,
    check: ({ className, method }, service) => {
      service.noteMethod(`${className}.${method}`);
    },
  };
  return weaveMethod(weaver, async (service, call) => {
    if (holds(eviction.when, 'when', call, call.args) === false) return call.proceed();
    const { version } = service.methodOptions(`${call.className}.${call.method}`, declared);
    if (eviction.before) {
      await evict(service, keysOf(eviction, call), version, tagsOf(eviction, call));
      return call.proceed();
    }
    const result = await call.proceed();
    if (holds(eviction.unless, 'unless', call, [result]) === true) return result;
    const tags = eviction.resultTags ? listOf(fromCall(eviction.resultTags, call, [result]), 'resultTags', call) : [];
    await evict(service, keysOf(eviction, call), version, [...tagsOf(eviction, call), ...tags]);
    return result;
  });
}

interface Eviction {
  readonly key: FromCall<unknown> | undefined;
  readonly version: string | undefined;
  readonly tags: readonly string[] | FromCall<unknown> | undefined;
  readonly resultTags: FromCall<unknown> | undefined;
  readonly before: boolean;
  readonly when: FromCall<boolean> | undefined;
  readonly unless: FromCall<boolean> | undefined;
}

function resolveEviction(options: unknown): Eviction {
  const path = '@CacheEvict options';
  const eviction = resolveOptions<Eviction>(path, options, {
    key: keyOption,
    version: optional(checkText),
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
  if (!Array.isArray(value)) throw badOption(path, 'a list of tags, or a function that returns one', value);
  for (const tag of value) checkText(tag, path);
  return value as string[];
}

/** The keys of a call. They are checked, because nobody would notice an eviction of nothing. */
function keysOf({ key }: Eviction, call: WovenCall): readonly string[] {
  if (key === undefined) return [];
  const keys = fromCall(key, call, call.args);
  return (Array.isArray(keys) ? keys : [keys]).map(checkKey);
}

function tagsOf({ tags }: Eviction, call: WovenCall): readonly string[] {
  return typeof tags === 'function' ? listOf(fromCall(tags, call, call.args), 'tags', call) : (tags ?? []);
}

function listOf(tags: unknown, name: string, { className, method }: WovenCall): readonly string[] {
  encodeTags(`${name} of ${className}.${method}`, tags, Infinity);
  return tags as readonly string[];
}

/** Evicts all at once, and waits for all of them even if one fails. */
async function evict(
  service: CacheService,
  keys: readonly string[],
  version: string | undefined,
  tags: readonly string[],
): Promise<void> {
  const options = version === undefined ? {} : { version };
  const pending: Promise<unknown>[] = keys.map((key) => service.delete(key, options));
  if (tags.length > 0) pending.push(service.invalidateTags(...tags));
  for (const settled of await Promise.allSettled(pending)) if (settled.status === 'rejected') throw settled.reason;
}
