import { badOption, durationMs, optional, resolveOptions, text, type OptionChecks } from '../weave/index.js';

/** How one value is loaded and kept. Each option may stand in a call, in a decorator, per method, or module-wide. */
export interface CacheOptions {
  /** Milliseconds that a value is kept. Default 60 000. */
  ttlMs?: number;
  /** Milliseconds that a result of null or undefined is kept. Default: as `ttlMs`. */
  negativeTtlMs?: number;
  /**
   * Milliseconds after a loader's error during which nobody in the fleet tries again: who asks gets a
   * CacheLoaderError at once. 0: the next to ask tries. Default 1 000.
   */
  errorBackoffMs?: number;
  /**
   * Milliseconds that a loader may take; then its signal aborts, its callers get `SLUICE_CACHE_LOADER_TIMEOUT`, and
   * another caller may load. Default 60 000.
   */
  loaderTimeoutMs?: number;
}

/** Options of `CacheService.set`. */
export type SetOptions = Pick<CacheOptions, 'ttlMs' | 'negativeTtlMs'>;

export interface SluiceCacheModuleOptions extends CacheOptions {
  /** The Redis connection to use, by its name in `redis.connections`. Default: `default`. */
  connection?: string;
  /**
   * Milliseconds until another process takes over from one that died while it loaded. A running load renews its lease
   * three times in this; a process whose event loop stands still for longer loses it. Default 3 000.
   */
  leaseMs?: number;
  /** Milliseconds that a read waits for Redis before it goes to the source by itself. Default 250. */
  readTimeoutMs?: number;
  /**
   * Options per decorated method, by `Class.method`: they outrank the decorator's, so that configuration can tune what
   * code declares.
   */
  methods?: Record<string, CacheOptions>;
}

/** Options of one load, complete. */
export interface LoadOptions {
  readonly ttlMs: number;
  readonly negativeTtlMs: number;
  readonly errorBackoffMs: number;
  readonly loaderTimeoutMs: number;
}

/** Options of the module, complete. */
export interface ResolvedCacheOptions {
  readonly connection: string | undefined;
  readonly leaseMs: number;
  readonly readTimeoutMs: number;
  readonly loads: Layer;
  readonly methods: ReadonlyMap<string, Layer>;
}

/** What one place says about loads: what it leaves out, the next lower place decides. */
export type Layer = { readonly [K in keyof LoadOptions]?: number | undefined };

const layer: OptionChecks<Layer> = {
  ttlMs: optional(durationMs(60_000)),
  negativeTtlMs: optional(durationMs(60_000)),
  errorBackoffMs: optional(durationMs(1_000, { min: 0 })),
  loaderTimeoutMs: optional(durationMs(60_000)),
};

const DEFAULTS = { ttlMs: 60_000, errorBackoffMs: 1_000, loaderTimeoutMs: 60_000 };

/** Checks what one place says. */
export function resolveLayer(path: string, given: unknown): Layer {
  return resolveOptions(path, given, layer);
}

/** Puts layers on the defaults, the strongest last. */
export function loadOptions(...layers: readonly Layer[]): LoadOptions {
  const merged: Layer & typeof DEFAULTS = Object.assign({}, DEFAULTS, ...layers) as typeof DEFAULTS;
  return { ...merged, negativeTtlMs: merged.negativeTtlMs ?? merged.ttlMs };
}

/** How long a value is kept. */
export function ttlOf(value: unknown, { ttlMs, negativeTtlMs }: LoadOptions): number {
  return value === null || value === undefined ? negativeTtlMs : ttlMs;
}

/**
 * Checks the `cache` options once, at boot.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION` naming path and value
 */
export function resolveCacheOptions(given: SluiceCacheModuleOptions | undefined): ResolvedCacheOptions {
  const { connection, leaseMs, readTimeoutMs, methods, ...loads } = resolveOptions('cache', given, {
    ...layer,
    connection: text(),
    leaseMs: durationMs(3_000, { min: 10 }),
    readTimeoutMs: durationMs(250),
    methods: methodLayers,
  });
  return { connection, leaseMs, readTimeoutMs, methods, loads };
}

function methodLayers(given: unknown, path: string): ReadonlyMap<string, Layer> {
  if (given === undefined) return new Map();
  if (typeof given !== 'object' || given === null) throw badOption(path, "options by 'Class.method'", given);
  return new Map(
    Object.entries(given).map(([method, options]) => [method, resolveLayer(`${path}['${method}']`, options)]),
  );
}
