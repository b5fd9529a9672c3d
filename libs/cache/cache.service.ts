import type { OnApplicationBootstrap } from '@nestjs/common';
import { checkKey, type RedisConnection, type RedisConnections } from '../redis/index.js';
import { brandService } from '../weave/index.js';
import { NOTHING_HELD, takeLease, type CacheLease } from './loading/manual-load.js';
import { CACHE_SERVICE } from './cache.tokens.js';
import { CacheKeys, entryOf } from './store/cache.keys.js';
import {
  resolveCacheOptions,
  resolveLayer,
  resolveLeaseLayer,
  resolveVersion,
  type CacheOptions,
  type KeyOptions,
  type LeaseOptions,
  type ResolvedCacheOptions,
  type SetOptions,
  type SluiceCacheModuleOptions,
} from './cache.options.js';
import { loadOptions, ttlOf, type Layer, type LoadOptions } from './load-options.js';
import { CacheStore } from './store/cache.store.js';
import { loadMany, type BatchLoader } from './loading/batch-load.js';
import { CacheLookups } from './cache-lookups.js';
import { CacheWriter } from './cache-writer.js';
import { CacheAvailability } from './observe/cache-availability.js';
import { Meters, type CacheStats, type Meter } from './observe/cache.stats.js';
import { encodeOf } from './codec/codec.js';
import { DefaultKeys } from './keys/default-keys.js';
import { RawCache } from './cache.raw.js';
import { holdsSlot } from './loading/load-scopes.js';
import type { ReadRequest } from './loading/read-context.js';
import type { Loader } from './loading/loader-run.js';
import { LocalReads } from './local/local-reads.js';
import { InvalidationRepeats } from './store/invalidation-repeats.js';
import { LocalTier } from './local/local-tier.js';
import { CacheReader } from './cache-reader.js';
import { encodeTags } from './store/tags.js';
import { PushRouter } from './loading/push-router.js';
import { warm, type WarmEntry, type WarmOptions, type WarmProgress } from './warm.js';

/**
 * A cache that all processes of an app share, in which a missing value is loaded once.
 *
 * A value that is read equals the value that was stored (plain data, Date, Map, Set, bigint, Buffer, typed arrays, undefined).
 * Each caller gets a copy of its own, and may change it.
 */
export class CacheService implements OnApplicationBootstrap {
  /** Makes the keys of `@CacheStampedeSafe` without a key. */
  readonly defaultKeys: DefaultKeys;
  /** Plain strings under literal keys, for clients in other languages. */
  readonly raw: RawCache;
  readonly #options: ResolvedCacheOptions;
  readonly #moduleWide: LoadOptions;
  readonly #store: CacheStore;
  readonly #reader: CacheReader;
  readonly #writer: CacheWriter;
  readonly #local: LocalTier | undefined;
  readonly #localReads: LocalReads;
  readonly #lookups: CacheLookups;
  readonly #meters = new Meters();
  readonly #availability: CacheAvailability;
  readonly #random = Math.random;
  readonly #connections: RedisConnections;
  readonly #methods = new Set<string>();

  /** @param store where entries are kept. Default: the Redis that the options name */
  constructor(connections: RedisConnections, options: SluiceCacheModuleOptions | undefined, store?: CacheStore) {
    brandService(this, CACHE_SERVICE);
    this.#connections = connections;
    this.#options = resolveCacheOptions(options);
    this.#moduleWide = loadOptions(this.#options.loads);
    const { keyspace, clock, shutdown } = connections;
    this.defaultKeys = new DefaultKeys(keyspace.namespace);
    const connection = (): RedisConnection => connections.get(this.#options.connection);
    this.raw = new RawCache(connection, keyspace, clock);
    this.#store = store ?? new CacheStore(connection(), new CacheKeys(keyspace), this.#options, clock);
    const repeats = store ? undefined : new InvalidationRepeats(connection(), clock, this.#store);
    const pushRouter = new PushRouter(this.#store.inbox, clock);
    this.#store.onDown(() => {
      pushRouter.wakeAll();
    });
    const { logger } = connections;
    const availability = new CacheAvailability({
      clock,
      warn: (message) => {
        logger.warn(message);
      },
      note: (message) => {
        logger.log(message);
      },
    });
    this.#availability = availability;
    const report = (error: unknown, what: string): void => {
      connections.logger.warn(`${what}: ${String(error)}`);
    };
    const { local: limits } = this.#options;
    const { inbox, invalidationChannel: channel, sequence } = this.#store;
    const track = limits?.tracking === true ? this.#store.track.bind(this.#store) : undefined;
    const onGone = (tags?: ReadonlySet<string>): void => {
      this.#reader.revalidate(tags);
    };
    this.#local = limits && new LocalTier({ inbox, channel, sequence, clock, limits, track, onGone });
    this.#reader = new CacheReader({
      store: this.#store,
      pushRouter,
      local: this.#local,
      clock,
      random: this.#random,
      availability,
      report,
    });
    this.#writer = new CacheWriter(this.#store, this.#reader, this.#local, repeats);
    this.#localReads = new LocalReads(this.#local, this.#moduleWide);
    this.#lookups = new CacheLookups({
      store: this.#store,
      writer: this.#writer,
      local: this.#local,
      localReads: this.#localReads,
      moduleWide: this.#moduleWide,
      meters: this.#meters,
      availability,
    });
    shutdown.onClose(() => {
      availability.close();
      return this.#reader.close();
    });
  }

  /**
   * The value of a key. If it is missing, `loader` gets it, once in the whole fleet: all other callers that ask meanwhile wait
   * for that load, and its value is pushed to them. If the loading process dies, exactly one other process takes over.
   *
   * If an invalidation comes during a load, the result of the load is never stored. An error of the loader comes back `===` to
   * the callers in this process. Callers in other processes, also those that ask within `errorBackoffMs`, get a CacheLoaderError.
   * While Redis does not answer, each process loads for itself and stores nothing. The loader runs in the AsyncLocalStorage
   * context of the first caller. So the loader must depend only on the key, not on the caller, and must not ask for that key
   * itself. Options are checked when Redis is asked, not for a value that this process has.
   *
   * @throws SluiceError `SLUICE_CACHE_LOADER_FAILED`, `SLUICE_CACHE_LOADER_TIMEOUT`, `SLUICE_CACHE_UNSERIALIZABLE`,
   *   `SLUICE_BAD_NAME`, `SLUICE_BAD_OPTION`
   * @example
   * const user = await cache.getOrLoad(`user:${id}`, ({ signal }) => api.user(id, { signal }), { ttlMs: 30_000 });
   */
  async getOrLoad<T>(key: string, loader: Loader<T>, options?: CacheOptions<NoInfer<T>>): Promise<T> {
    const meter = this.#meters.of('getOrLoad');
    const found = this.#localReads.read(key, options ?? this.#moduleWide, meter);
    if (found) return found.value as T;
    const request = this.#requestOf(key, this.#resolve('getOrLoad options', options), meter);
    return (await this.#reader.read(request, loader)) as T;
  }

  /** {@link getOrLoad} with options that were checked before, on behalf of a decorated method. */
  async load<T>(key: string, loader: Loader<T>, options: LoadOptions, method: string): Promise<T> {
    const meter = this.#meters.of(method);
    const found = this.#localReads.read(key, options, meter);
    return (found ? found.value : await this.#reader.read(this.#requestOf(key, options, meter), loader)) as T;
  }

  /**
   * The values of several keys, in the order of the keys. `batchLoader` loads missing values: it gets the keys that no other
   * caller loads, and returns their values in that order. An `Error` in place of a value fails only that key.
   *
   * Each key has its own lease: one load for the fleet per key, as for {@link getOrLoad}. More than 500 keys are read in parts,
   * and `batchLoader` is called for each part. A key that is named twice has one value at both places. This call waits for loads
   * of other callers while its own batch runs, never before. If a process dies while it loads, its keys are left to a further
   * call of `batchLoader`.
   *
   * @throws the error of the first key in order that failed, once all have ended
   * @example
   * const users = await cache.getOrLoadMany(ids.map((id) => `user:${id}`), (keys) => db.users(keys), { ttlMs: 30_000 });
   */
  async getOrLoadMany<T>(
    keys: readonly string[],
    batchLoader: BatchLoader<T>,
    options?: CacheOptions<NoInfer<T>>,
  ): Promise<T[]> {
    const resolved = this.#resolve('getOrLoadMany options', options);
    const meter = this.#meters.of('getOrLoadMany');
    const values = await loadMany(keys, batchLoader, (key, loader, onWait) => {
      const found = this.#localReads.read(key, resolved, meter);
      return found
        ? Promise.resolve(found.value)
        : this.#reader.read(this.#requestOf(key, resolved, meter, onWait), loader);
    });
    return values as T[];
  }

  /**
   * Loads values that will be needed, `concurrency` at a time. A value that is there already is not loaded again.
   *
   * @returns how many entries were loaded, and which failed. Errors of single entries do not reject
   * @example
   * await cache.warm(ids.map((id) => ({ key: `user:${id}`, loader: () => db.user(id) })), { concurrency: 4 });
   */
  warm(entries: Iterable<WarmEntry> | AsyncIterable<WarmEntry>, options?: WarmOptions): Promise<WarmProgress> {
    return warm(entries, options, (entry) => this.getOrLoad(entry.key, entry.loader, entry.options));
  }

  /** The options of a decorated method: those of `cache.methods` for it, over those of its decorator, over the module's. */
  methodOptions(method: string, declared: Layer): LoadOptions {
    return loadOptions(this.#options.loads, { source: method }, declared, this.#options.methods.get(method) ?? {});
  }

  /** Called at boot for each decorated method. */
  noteMethod(method: string): void {
    this.#methods.add(method);
  }

  /** Warns of entries of `cache.methods` that match no method: a typo must not be silent. */
  onApplicationBootstrap(): void {
    const unmatched = [...this.#options.methods.keys()].filter((method) => !this.#methods.has(method));
    if (unmatched.length === 0) return;
    const known = [...this.#methods].join(', ') || 'none';
    this.#connections.logger.warn(
      `cache.methods has options for ${unmatched.map((name) => `'${name}'`).join(', ')}, ` +
        `but no provider has such a method with @CacheStampedeSafe, @CachePut or @CacheEvict. Those that have: ${known}`,
    );
  }

  /**
   * A load by hand, for callers that cannot give a loader. The result is the value, or the right to load it, or another load to
   * wait for.
   *
   * The lease of a load is renewed until the load is ended or `loaderTimeoutMs` is over. A value given to `fill` is stored under
   * the same conditions as the result of a loader of {@link getOrLoad}. While Redis does not answer, every call is told to load,
   * and nothing is stored.
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
    const meter = this.#meters.of('lease');
    const resolved = loadOptions(this.#options.loads, layer);
    const found = this.#localReads.read(key, resolved, meter);
    if (found) return { state: 'hit', value: found.value as T, ...NOTHING_HELD };
    return takeLease<T>(this.#reader.context, this.#requestOf(key, resolved, meter));
  }

  /** The value of a key. `undefined` if there is no fresh value, or if Redis does not answer. */
  get<T>(key: string, options?: KeyOptions): Promise<T | undefined> {
    return this.#lookups.get(key, options) as Promise<T | undefined>;
  }

  /** The values of several keys, in their order, each as from {@link get}. They are asked for in one write. */
  getMany<T>(keys: readonly string[], options?: KeyOptions): Promise<(T | undefined)[]> {
    return Promise.all(keys.map((key) => this.get<T>(key, options)));
  }

  /**
   * The value of a key, which is removed in the same step. `undefined` if there is no fresh value. For one-time codes and states:
   * however many processes call this for one key, at most one call gets the value. It always asks Redis.
   *
   * A call that rejects with `outcome: 'unknown'` may have removed the value. Then no caller has it, and a repeated call returns
   * `undefined`. Treat the code as used, and issue a new one. "At most one" does not hold across a failover of Redis that loses
   * the removal.
   *
   * @throws RedisUnavailableError when Redis did not answer: it never falls back to a copy, or to no check at all
   * @example
   * await cache.set(`login:${code}`, { userId }, { ttlMs: 600_000, jitter: 0 });
   * const login = await cache.take<{ userId: string }>(`login:${code}`);
   * if (!login) throw new UnauthorizedException();
   */
  take<T>(key: string, options?: KeyOptions): Promise<T | undefined> {
    return this.#lookups.take(key, options) as Promise<T | undefined>;
  }

  /**
   * Stores a value for `ttlMs`, whatever was there. Once resolved, the value is stored, and no load that began before will
   * replace it.
   *
   * @throws RedisUnavailableError when Redis did not confirm it
   */
  async set(key: string, value: unknown, options?: SetOptions): Promise<void> {
    checkKey(key);
    await this.put(key, value, this.#resolve('set options', options));
  }

  /** {@link set} with options that were checked before, and further tags. */
  async put(key: string, value: unknown, options: LoadOptions, more: readonly string[] = []): Promise<void> {
    const entry = entryOf(checkKey(key), options.version);
    const text = encodeOf(key, value, options);
    const { staleMs } = options;
    const tags = [...new Set([...options.tags, ...encodeTags('tags', more)])];
    const ttlMs = ttlOf(value, options, this.#random);
    await this.#writer.set(entry, { text, ttlMs, staleMs, tags });
  }

  /**
   * Removes a value. True if there was one. Once resolved, a caller that asks from then on gets what the source says then, and no
   * load that began before is stored.
   *
   * @throws RedisUnavailableError when Redis did not confirm it
   */
  async delete(key: string, options?: KeyOptions): Promise<boolean> {
    return this.#writer.delete(this.#entry('delete options', key, options));
  }

  /**
   * Removes every value that has one of these tags, in every version. The tags are arguments, or one list of any length. The work
   * is that of the tags, whatever the number of values. Once resolved, the same holds as for {@link delete}, for all the values.
   *
   * @throws RedisUnavailableError when Redis did not confirm it
   */
  async invalidateTags(...tags: readonly string[] | [readonly string[]]): Promise<void> {
    const [first] = tags;
    const named = tags.length === 1 && Array.isArray(first) ? first : tags;
    await this.#writer.invalidateTags(encodeTags('invalidateTags', named, Infinity));
  }

  /**
   * Removes every value of the namespace's cache, in one step, whatever their number. Once resolved, the same holds as for
   * {@link delete}, for all the values. The memory of a value is free when the value expires, or is loaded again.
   *
   * @throws RedisUnavailableError when Redis did not confirm it
   */
  clear(): Promise<void> {
    return this.#writer.clear();
  }

  /** The counts of this process since it started. */
  stats(): CacheStats {
    return { ...this.#meters.read(), local: this.#local?.size, availability: this.#availability.stats };
  }

  #version(path: string, options: KeyOptions | undefined): string | undefined {
    return resolveVersion(path, options) ?? this.#moduleWide.version;
  }

  #entry(path: string, key: string, options: KeyOptions | undefined): string {
    return entryOf(checkKey(key), this.#version(path, options));
  }

  #resolve<T>(path: string, options: CacheOptions<T> | undefined): LoadOptions {
    return options === undefined ? this.#moduleWide : loadOptions(this.#options.loads, resolveLayer(path, options));
  }

  #requestOf(key: string, options: LoadOptions, meter: Meter, onWait?: () => void): ReadRequest {
    const scope = this.#reader.context.scopes.current;
    const { maxConcurrentLoads, source } = options;
    const limit = maxConcurrentLoads > 0 && holdsSlot(scope, source) ? 0 : maxConcurrentLoads;
    return { key, entry: entryOf(checkKey(key), options.version), options, meter, scope, limit, onWait };
  }
}
