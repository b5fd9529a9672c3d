import { checkKey, type RedisConnections } from '../redis/index.js';
import { brandService } from '../weave/index.js';
import { CacheKeys } from './cache.keys.js';
import {
  loadOptions,
  resolveCacheOptions,
  resolveLayer,
  ttlOf,
  type CacheOptions,
  type Layer,
  type LoadOptions,
  type ResolvedCacheOptions,
  type SetOptions,
  type SluiceCacheModuleOptions,
} from './cache.options.js';
import { CacheStore } from './cache.store.js';
import { decode, encode } from './codec.js';
import { DefaultKeys } from './default-keys.js';
import { RawCache } from './raw-cache.js';
import type { Loader } from './load.js';
import { Reader } from './reader.js';
import { WakeUps } from './wake-ups.js';

/** Nest provider token of {@link CacheService}. */
export const CACHE_SERVICE = 'sluice:cache-service';

/**
 * A cache that all processes of an app share, in which a missing value is loaded once.
 *
 * What comes back equals what was put (plain data, Date, Map, Set, bigint, Buffer, typed arrays, undefined), and is the
 * caller's own: changing it changes nobody else's.
 */
export class CacheService {
  /** For `@CacheStampedeSafe` without a key. */
  readonly defaultKeys: DefaultKeys;
  /** Plain strings under literal keys, for clients in other languages. */
  readonly raw: RawCache;
  readonly #options: ResolvedCacheOptions;
  readonly #moduleWide: LoadOptions;
  readonly #store: CacheStore;
  readonly #reader: Reader;

  /** @param store where entries are kept; by default the Redis that the options name */
  constructor(connections: RedisConnections, options: SluiceCacheModuleOptions | undefined, store?: CacheStore) {
    brandService(this, CACHE_SERVICE);
    this.#options = resolveCacheOptions(options);
    this.#moduleWide = loadOptions(this.#options.loads);
    const { keyspace, clock, shutdown } = connections;
    this.defaultKeys = new DefaultKeys(keyspace.namespace);
    this.raw = new RawCache(() => connections.get(this.#options.connection), keyspace, clock);
    this.#store =
      store ?? new CacheStore(connections.get(this.#options.connection), new CacheKeys(keyspace), this.#options);
    const wakeUps = new WakeUps(this.#store.inbox, clock);
    this.#reader = new Reader({ store: this.#store, wakeUps, clock, random: Math.random });
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
  async getOrLoad<T>(key: string, loader: Loader<T>, options?: CacheOptions): Promise<T> {
    return this.load(key, loader, this.#resolve('getOrLoad options', options));
  }

  /** {@link getOrLoad} with options that were checked before. */
  load<T>(key: string, loader: Loader<T>, options: LoadOptions): Promise<T> {
    return this.#reader.read(checkKey(key), loader, options) as Promise<T>;
  }

  /** The options of a decorated method: what `cache.methods` says of it, over its decorator, over the module. */
  methodOptions(method: string, declared: Layer): LoadOptions {
    return loadOptions(this.#options.loads, declared, this.#options.methods.get(method) ?? {});
  }

  /** The value of a key, `undefined` if there is none, or no Redis that answers. */
  async get<T>(key: string): Promise<T | undefined> {
    const text = await this.#store.get(checkKey(key)).catch(() => null);
    if (text === null) return undefined;
    try {
      return decode(text) as T;
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
    this.#reader.forget(checkKey(key));
    await this.#store.set(key, text, ttlOf(value, resolved));
  }

  /**
   * Removes a value; true if there was one. Resolved: whoever asks from now on gets what the source says now, and no load
   * that began before will be stored.
   *
   * @throws RedisUnavailableError when Redis did not confirm it
   */
  async delete(key: string): Promise<boolean> {
    this.#reader.forget(checkKey(key));
    return this.#store.delete(key);
  }

  #resolve(path: string, options: CacheOptions | undefined): LoadOptions {
    return options === undefined ? this.#moduleWide : loadOptions(this.#options.loads, resolveLayer(path, options));
  }
}
