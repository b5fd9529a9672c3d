import type { OnApplicationBootstrap } from '@nestjs/common';
import { checkKey, type RedisConnections } from '../redis/index.js';
import { brandService } from '../weave/index.js';
import { takeLease, type CacheLease } from './cache-lease.js';
import { CacheKeys, entryOf } from './cache.keys.js';
import {
  loadOptions,
  resolveCacheOptions,
  resolveLayer,
  resolveLeaseLayer,
  resolveVersion,
  ttlOf,
  type CacheOptions,
  type KeyOptions,
  type Layer,
  type LeaseOptions,
  type LoadOptions,
  type ResolvedCacheOptions,
  type SetOptions,
  type SluiceCacheModuleOptions,
} from './cache.options.js';
import { CacheStore } from './cache.store.js';
import { decode, encode } from './codec.js';
import { DefaultKeys } from './default-keys.js';
import { RawCache } from './raw-cache.js';
import type { Order } from './grant.js';
import type { Loader } from './load.js';
import { Reader } from './reader.js';
import { encodeTags } from './tags.js';
import { WakeUps } from './wake-ups.js';

/** Nest provider token of {@link CacheService}. */
export const CACHE_SERVICE = 'sluice:cache-service';

/**
 * A cache that all processes of an app share, in which a missing value is loaded once.
 *
 * What comes back equals what was put (plain data, Date, Map, Set, bigint, Buffer, typed arrays, undefined), and is the
 * caller's own: changing it changes nobody else's.
 */
export class CacheService implements OnApplicationBootstrap {
  /** For `@CacheStampedeSafe` without a key. */
  readonly defaultKeys: DefaultKeys;
  /** Plain strings under literal keys, for clients in other languages. */
  readonly raw: RawCache;
  readonly #options: ResolvedCacheOptions;
  readonly #moduleWide: LoadOptions;
  readonly #store: CacheStore;
  readonly #reader: Reader;
  readonly #connections: RedisConnections;
  readonly #methods = new Set<string>();

  /** @param store where entries are kept; by default the Redis that the options name */
  constructor(connections: RedisConnections, options: SluiceCacheModuleOptions | undefined, store?: CacheStore) {
    brandService(this, CACHE_SERVICE);
    this.#connections = connections;
    this.#options = resolveCacheOptions(options);
    this.#moduleWide = loadOptions(this.#options.loads);
    const { keyspace, clock, shutdown } = connections;
    this.defaultKeys = new DefaultKeys(keyspace.namespace);
    this.raw = new RawCache(() => connections.get(this.#options.connection), keyspace, clock);
    this.#store =
      store ?? new CacheStore(connections.get(this.#options.connection), new CacheKeys(keyspace), this.#options, clock);
    const wakeUps = new WakeUps(this.#store.inbox, clock);
    const report = (error: unknown, what: string): void => {
      connections.logger.warn(`${what}: ${String(error)}`);
    };
    this.#reader = new Reader({ store: this.#store, wakeUps, clock, random: Math.random, report });
    shutdown.onClose(() => this.#reader.close());
  }

  /**
   * The value of a key; if it is missing, `loader` gets it, once in the whole fleet: everybody else who asks meanwhile
   * waits for that load and gets its value pushed. If the loading process dies, exactly one other takes over.
   *
   * An invalidation during a load makes sure that its result is never stored. What the loader throws comes back `===` to
   * the callers in this process; callers elsewhere, and everybody for `errorBackoffMs`, get a CacheLoaderError. While Redis
   * does not answer, each process loads for itself and stores nothing. The loader runs in the AsyncLocalStorage context of the
   * caller that came first: it must not depend on who calls, only on the key, and must not ask for that key itself.
   *
   * @throws SluiceError `SLUICE_CACHE_LOADER_FAILED`, `SLUICE_CACHE_LOADER_TIMEOUT`, `SLUICE_CACHE_UNSERIALIZABLE`,
   *   `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`
   * @example
   * const user = await cache.getOrLoad(`user:${id}`, ({ signal }) => api.user(id, { signal }), { ttlMs: 30_000 });
   */
  async getOrLoad<T>(key: string, loader: Loader<T>, options?: CacheOptions<NoInfer<T>>): Promise<T> {
    return this.load(key, loader, this.#resolve('getOrLoad options', options));
  }

  /** {@link getOrLoad} with options that were checked before. */
  load<T>(key: string, loader: Loader<T>, options: LoadOptions): Promise<T> {
    return this.#reader.read(orderOf(key, options), loader) as Promise<T>;
  }

  /** The options of a decorated method: what `cache.methods` says of it, over its decorator, over the module. */
  methodOptions(method: string, declared: Layer): LoadOptions {
    return loadOptions(this.#options.loads, { source: method }, declared, this.#options.methods.get(method) ?? {});
  }

  /** Notes at boot that a method of that name is cached. */
  noteMethod(method: string): void {
    this.#methods.add(method);
  }

  /** Names the entries of `cache.methods` that no method has: a typo must not be silent. */
  onApplicationBootstrap(): void {
    const unmatched = [...this.#options.methods.keys()].filter((method) => !this.#methods.has(method));
    if (unmatched.length === 0) return;
    const known = [...this.#methods].join(', ') || 'none';
    this.#connections.logger.warn(
      `cache.methods has options for ${unmatched.map((name) => `'${name}'`).join(', ')}, ` +
        `but no provider has such a method with @CacheStampedeSafe. Cached methods: ${known}`,
    );
  }

  /**
   * A load by hand, for who cannot give a loader: the value; or the right to load it; or to wait for who does.
   *
   * A load is renewed until it is ended or `loaderTimeoutMs` is over. What it fills is stored under the same conditions as what
   * a loader of {@link getOrLoad} returns. While Redis does not answer, every call is told to load, and nothing is stored.
   *
   * @throws SluiceError `SLUICE_CACHE_LOADER_FAILED` during a back-off, `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`
   * @example
   * await using lease = await cache.lease<User>(`user:${id}`);
   * if (lease.state === 'hit') return lease.value;
   * if (lease.state === 'wait') return lease.wait();
   * const user = await api.user(id, { signal: lease.signal });
   * await lease.fill(user);
   * return user;
   */
  async lease<T>(key: string, options?: LeaseOptions<NoInfer<T>>): Promise<CacheLease<T>> {
    const layer = options === undefined ? {} : resolveLeaseLayer('lease options', options);
    return takeLease<T>(this.#reader.airspace, orderOf(key, loadOptions(this.#options.loads, layer)));
  }

  /** The value of a key, `undefined` if there is none that is fresh, or no Redis that answers. */
  async get<T>(key: string, options?: KeyOptions): Promise<T | undefined> {
    const entry = this.#entry('get options', key, options);
    const value = await this.#store.get(entry).catch(() => undefined);
    if (value === undefined) return undefined;
    try {
      return decode(value.text) as T;
    } catch {
      return undefined;
    }
  }

  /**
   * Stores a value for `ttlMs`, whatever was there. Resolved: it is stored, and no load that began before will replace it.
   *
   * @throws RedisUnavailableError when Redis did not confirm it
   */
  async set(key: string, value: unknown, options?: SetOptions): Promise<void> {
    const resolved = this.#resolve('set options', options);
    const text = encode(value);
    const entry = entryOf(checkKey(key), resolved.version);
    this.#reader.forget(entry);
    const { staleMs, tags } = resolved;
    await this.#store.set(entry, { text, ttlMs: ttlOf(value, resolved, Math.random), staleMs, tags });
  }

  /**
   * Removes a value; true if there was one. Resolved: whoever asks from now on gets what the source says now, and no load
   * that began before will be stored.
   *
   * @throws RedisUnavailableError when Redis did not confirm it
   */
  async delete(key: string, options?: KeyOptions): Promise<boolean> {
    const entry = this.#entry('delete options', key, options);
    this.#reader.forget(entry);
    return this.#store.delete(entry);
  }

  /**
   * Removes every value that has one of these tags, in every version, whatever their number: the work is that of the tags.
   * Resolved: as for {@link delete}, for all of them.
   *
   * @throws RedisUnavailableError when Redis did not confirm it
   */
  async invalidateTags(...tags: string[]): Promise<void> {
    const encoded = encodeTags('invalidateTags', tags);
    this.#reader.forgetTagged(encoded);
    await this.#store.invalidateTags(encoded);
  }

  /**
   * Removes every value of the namespace's cache, in one step, whatever their number. Resolved: as for {@link delete}, for
   * all of them. Their memory is free when they expire, or are loaded anew.
   *
   * @throws RedisUnavailableError when Redis did not confirm it
   */
  async clear(): Promise<void> {
    this.#reader.forgetTagged();
    await this.#store.clear();
  }

  #entry(path: string, key: string, options: KeyOptions | undefined): string {
    const version = resolveVersion(path, options) ?? this.#moduleWide.version;
    return entryOf(checkKey(key), version);
  }

  #resolve<T>(path: string, options: CacheOptions<T> | undefined): LoadOptions {
    return options === undefined ? this.#moduleWide : loadOptions(this.#options.loads, resolveLayer(path, options));
  }
}

function orderOf(key: string, options: LoadOptions): Order {
  return { key, entry: entryOf(checkKey(key), options.version), options };
}
