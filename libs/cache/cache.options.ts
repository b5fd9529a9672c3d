import {
  badOption,
  checkText,
  count,
  durationMs,
  flag,
  fn,
  oneOf,
  optional,
  type OptionChecks,
  required,
  resolveOptions,
  text,
} from '../weave/index.js';
import type { Revive } from './local/decoded-copies.js';
import { lifetimeMs } from './lifetime.js';
import { localAndStrict, outageCopiesOff, type Layer, type OutagePolicy } from './load-options.js';
import { localTier, type LocalOptions, type ResolvedLocal } from './local/local.options.js';
import { encodeTags } from './store/tags.js';

/** How one value is loaded and kept. Each option can be given in a call, in a decorator, per method, or for the whole module. */
export interface CacheOptions<T = unknown> {
  /**
   * Milliseconds that a value is fresh, less the jitter. `Infinity`: until it is invalidated, or evicted by Redis. Default
   * 60 000.
   */
  ttlMs?: number;
  /**
   * Milliseconds past `ttlMs` that a value may still be returned: while one process refreshes it, and when its loader
   * fails. An expired value may be returned, an invalidated value never. `Infinity`: for as long as Redis keeps it. Default 0.
   */
  staleMs?: number;
  /**
   * Milliseconds that a caller waits for the refresh of a stale value, before it takes the stale value. Default 0: the caller
   * takes the stale value at once, and the refresh runs in the background.
   */
  softTimeoutMs?: number;
  /**
   * Share of `ttlMs`, from 0 to 1. `ttlMs` is shortened at random by up to this share, so that values do not expire together.
   * Default 0.1.
   */
  jitter?: number;
  /**
   * How early a value that is read all the time is refreshed in the background before it expires: XFetch's β. The longer a load
   * took, the earlier the refresh. 0: never. Default 1.
   *
   * @see Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015
   */
  earlyRefresh?: number;
  /** Milliseconds that a result of null or undefined is fresh, or `Infinity`. Default: as `ttlMs`. */
  negativeTtlMs?: number;
  /**
   * Milliseconds after a loader's error during which no process tries again. A caller then gets a stale value if `staleMs`
   * allows, else a CacheLoaderError at once. 0: the next caller tries again. Default 1 000.
   */
  errorBackoffMs?: number;
  /**
   * Which errors of the loader are answers ("there is no such user") and no failures of the source. There is no back-off after an
   * answer. An answer keeps its HTTP status: callers in other processes get an HttpException with the same status and response.
   * Default: an HttpException with a status below 500.
   *
   * @example answers: (error) => error instanceof NoSuchUser
   */
  answers?(error: unknown): boolean;
  /**
   * Milliseconds that a loader may take. Then its signal aborts, its callers get `SLUICE_CACHE_LOADER_TIMEOUT`, and
   * another caller may load. Default 60 000.
   */
  loaderTimeoutMs?: number;
  /**
   * How many loads the whole fleet may run at once at one source, whatever their keys. Further loads wait for a slot. A loader
   * holds its slot until it has really ended. The slots of a dead process are free after `leaseMs`. Default: any number.
   */
  maxConcurrentLoads?: number;
  /**
   * The name of the source that `maxConcurrentLoads` protects. Default: the decorated method. All calls of `getOrLoad` that name
   * no source share one.
   */
  source?: string;
  /** The names by which {@link CacheService.invalidateTags} finds the value: any non-empty strings. */
  tags?: readonly string[];
  /** Further tags, which only the result names. A load that began before one of these tags was invalidated is never stored. */
  resultTags?(value: T): readonly string[];
  /**
   * `'strict'`: a read that begins after an invalidation was acknowledged never gets older data. Such a read joins no load or
   * wait that began before the read, and asks Redis every time. Default `'bounded'`: this holds at once in the process that
   * invalidates, and within 1 s in other processes.
   */
  consistency?: 'bounded' | 'strict';
  /**
   * Part of the key: apps of another version have values of their own. Use it when the cached data changes its shape. `delete`
   * and `set` reach the version that they are given. `invalidateTags` and `clear` reach all versions.
   */
  version?: string;
  /**
   * Keeps copies in this process, which are answered without a round trip. After an invalidation, copies in other processes are
   * not used for longer than 1 s. Default true, and false where `consistency` is `'strict'`. To ask for both is refused.
   */
  local?: boolean;
  /**
   * Makes an instance of a class from the data that the cache keeps. It is called for every caller, with the stored data.
   * Instances are then accepted as values, and stored as plain objects of their own properties. If it throws, the stored value is
   * a miss, so it may check the data as well (`(data) => UserSchema.parse(data)`).
   */
  revive?(data: unknown): unknown;
  /** A value for which this is true is not stored: the callers of the load get the value, and the next caller loads again. */
  unless?(value: T): boolean;
  /**
   * What a reader gets if Redis does not answer or refuses. `'load'` (default): the value from the source, uncached.
   * `'throw'`: the error. `{ local: { maxAgeMs } }`: a copy of this process that is no older than `maxAgeMs` and not past its
   * `ttlMs`; if there is none, the value from the source, which this process then keeps as such a copy. Invalidations by
   * other processes do not reach copies while Redis is away. All such copies are removed when the connection is back.
   */
  onBackendDown?: 'load' | 'throw' | { local: OutageCopies };
}

/** Copies of this process that are used while Redis is away. */
export interface OutageCopies {
  /** How old a copy may be, in milliseconds since Redis, or the source, was asked for it. */
  maxAgeMs: number;
}

/** Options of `CacheService.set`. It may be given all the options of its readers. The options that are not here do nothing. */
export type SetOptions = Pick<CacheOptions, (typeof SET_OPTIONS)[number]>;

/** Options of `CacheService.lease`. */
export type LeaseOptions<T = unknown> = Pick<CacheOptions<T>, (typeof LEASE_OPTIONS)[number]>;

/** Options of `CacheService.get` and `CacheService.delete`. */
export type KeyOptions = Pick<CacheOptions, 'version'>;

export interface SluiceCacheModuleOptions extends Omit<
  CacheOptions,
  'tags' | 'resultTags' | 'source' | 'local' | 'revive' | 'unless'
> {
  /** The Redis connection to use, by its name in `redis.connections`. Default: `default`. */
  connection?: string;
  /**
   * Milliseconds until another process takes over from a process that died while it loaded. A running load renews its lease
   * three times in this time. A process whose event loop stands still for longer loses the lease. Default 3 000.
   */
  leaseMs?: number;
  /**
   * Milliseconds that Redis may send nothing at all before a read that waits for Redis goes to the source itself. While Redis
   * answers other commands of this process, the read waits for its reply, up to the connection's `commandTimeoutMs`. Default 250.
   */
  readTimeoutMs?: number;
  /**
   * How many copies this process keeps. False: no copies at all. Default `{ maxEntries: 10 000, maxBytes: 32 MiB }`. Bytes are
   * estimated from the text that is stored in Redis.
   */
  local?: boolean | LocalOptions;
  /** Packs texts of `threshold` characters and more with brotli. Packed texts can be read in any case. Default false. */
  compression?: boolean | CompressionOptions;
  /**
   * Options per decorated method, by `Class.method`. They take precedence over the decorator's options, so that configuration
   * can tune what code declares. A name that no method has causes a warning at boot.
   */
  methods?: Record<string, CacheOptions>;
}

export interface CompressionOptions {
  /** Characters. Shorter texts are stored as they are. Default 4 096. */
  threshold?: number;
}

/** Options of the module, complete. */
export interface ResolvedCacheOptions {
  readonly connection: string | undefined;
  readonly leaseMs: number;
  readonly readTimeoutMs: number;
  /** Undefined: no local tier. */
  readonly local: ResolvedLocal | undefined;
  /** Texts of this many characters and more are packed. */
  readonly packFrom: number;
  readonly loads: Layer;
  readonly methods: ReadonlyMap<string, Layer>;
}

const everywhere = {
  ttlMs: optional(lifetimeMs(60_000)),
  staleMs: optional(lifetimeMs(0, { min: 0 })),
  softTimeoutMs: optional(durationMs(0, { min: 0 })),
  jitter: optional(fraction),
  earlyRefresh: optional(factor),
  negativeTtlMs: optional(lifetimeMs(60_000)),
  errorBackoffMs: optional(durationMs(1_000, { min: 0 })),
  loaderTimeoutMs: optional(durationMs(60_000)),
  maxConcurrentLoads: optional(count(1)),
  consistency: optional(oneOf(['bounded', 'strict'], 'bounded')),
  version: optional(checkText),
  onBackendDown: optional(outagePolicy),
  answers: fn<(error: unknown) => boolean>(),
};

/** Options that make sense for one kind of value only are no options of the module. */
const layer: OptionChecks<Layer> = {
  ...everywhere,
  local: optional(flag(true)),
  revive: fn<Revive>(),
  unless: fn(),
  source: optional(text()),
  tags: optional((value: unknown, path: string) => encodeTags(path, value)),
  resultTags: fn(),
};

const LEASE_OPTIONS = [
  'ttlMs',
  'staleMs',
  'softTimeoutMs',
  'jitter',
  'negativeTtlMs',
  'errorBackoffMs',
  'loaderTimeoutMs',
  'maxConcurrentLoads',
  'source',
  'tags',
  'resultTags',
  'version',
  'local',
  'revive',
  'unless',
  'onBackendDown',
  'answers',
] as const satisfies (keyof CacheOptions)[];

const SET_OPTIONS = [
  'ttlMs',
  'staleMs',
  'jitter',
  'negativeTtlMs',
  'tags',
  'version',
  'revive',
] as const satisfies (keyof CacheOptions)[];

/** Checks the options that were given in one place. */
export function resolveLayer(path: string, given: unknown): Layer {
  const resolved = resolveOptions(path, given, layer);
  if (resolved.local === true && resolved.consistency === 'strict') throw localAndStrict(path);
  if (resolved.local === false || resolved.consistency === 'strict') refuseOutageCopies(path, resolved);
  return resolved;
}

/** As {@link resolveLayer}, for `CacheService.lease`. */
export function resolveLeaseLayer(path: string, given: unknown): Layer {
  return resolveSome(LEASE_OPTIONS, path, given);
}

/** As {@link resolveLayer}, for `@CachePut`. */
export function resolveSetLayer(path: string, given: unknown): Layer {
  return resolveSome(SET_OPTIONS, path, given);
}

function resolveSome(names: readonly (keyof CacheOptions)[], path: string, given: unknown): Layer {
  const checks = Object.fromEntries(names.map((name) => [name, layer[name]]));
  return resolveOptions(path, given, checks as OptionChecks<Layer>);
}

/** As {@link resolveLayer}, for calls that take a `version` only. */
export function resolveVersion(path: string, given: unknown): string | undefined {
  if (given === undefined) return undefined;
  return resolveOptions<{ version: string | undefined }>(path, given, { version: optional(checkText) }).version;
}

/**
 * Checks the `cache` options once, at boot.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION`, which names path and value
 */
export function resolveCacheOptions(given: SluiceCacheModuleOptions | undefined): ResolvedCacheOptions {
  const { connection, leaseMs, readTimeoutMs, methods, local, compression, ...loads } = resolveOptions('cache', given, {
    ...everywhere,
    local: localTier,
    compression: compressionFrom,
    connection: text(),
    leaseMs: durationMs(3_000, { min: 10 }),
    readTimeoutMs: durationMs(250),
    methods: methodLayers,
  });
  if (local.asked && loads.consistency === 'strict') throw localAndStrict('cache');
  if (!local.limits || loads.consistency === 'strict') refuseOutageCopies('cache', loads);
  const off = local.limits ? {} : { local: false };
  return {
    connection,
    leaseMs,
    readTimeoutMs,
    local: local.limits,
    packFrom: compression,
    methods,
    loads: { ...loads, ...off },
  };
}

function outagePolicy(given: unknown, path: string): OutagePolicy {
  if (given === 'load' || given === 'throw') return given;
  if (typeof given !== 'object' || given === null) {
    throw badOption(path, "'load', 'throw' or { local: { maxAgeMs } }", given);
  }
  const { local } = resolveOptions<{ local: number }>(path, given, {
    local: (copies, at) => resolveOptions<OutageCopies>(at, copies, { maxAgeMs: required(lifetimeMs(0)) }).maxAgeMs,
  });
  return local;
}

function refuseOutageCopies(path: string, { onBackendDown }: Layer): void {
  if (typeof onBackendDown === 'number') throw outageCopiesOff(path, onBackendDown);
}

function compressionFrom(given: unknown, path: string): number {
  if (given === undefined || given === false) return Infinity;
  return resolveOptions(path, given === true ? {} : given, { threshold: count(4_096) }).threshold;
}

function methodLayers(given: unknown, path: string): ReadonlyMap<string, Layer> {
  if (given === undefined) return new Map();
  if (typeof given !== 'object' || given === null) throw badOption(path, "options by 'Class.method'", given);
  return new Map(
    Object.entries(given).map(([method, options]) => [method, resolveLayer(`${path}['${method}']`, options)]),
  );
}

function fraction(value: unknown, path: string): number {
  if (typeof value === 'number' && value >= 0 && value <= 1) return value;
  throw badOption(path, 'a number from 0 to 1', value);
}

function factor(value: unknown, path: string): number {
  if (typeof value === 'number' && value >= 0 && Number.isFinite(value)) return value;
  throw badOption(path, 'a number from 0 on', value);
}
