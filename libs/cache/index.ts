/**
 * The cache: `CacheService`, `@CacheStampedeSafe`, `@CacheEvict` and `@CachePut`. A missing key is loaded once in the whole
 * fleet. A load that an invalidation overtook is never stored.
 *
 * - `decorators/` the three decorators
 * - `keys/` default keys: class, method and a hash of the arguments
 * - `loading/` one read, one load, and the wait for a load of another caller
 * - `local/` copies in this process
 * - `codec/` values to text and back
 * - `store/` keys, scripts and batched reads: everything that is sent to Redis
 * - `observe/` channels and `stats()`
 *
 * @see docs/internals/cache.md
 * @packageDocumentation
 */

export { CacheLoaderError, CacheLoaderTimeoutError, type LoaderFailure } from './cache.errors.js';
export { SluiceCacheModule } from './cache.module.js';
export type { CacheLease, LeasedLoad } from './loading/manual-load.js';
export type {
  CacheOptions,
  CompressionOptions,
  KeyOptions,
  LeaseOptions,
  OutageCopies,
  SetOptions,
  SluiceCacheModuleOptions,
} from './cache.options.js';
export { CacheService } from './cache.service.js';
export { CACHE_SERVICE } from './cache.tokens.js';
export { CacheStampedeSafe, type StampedeSafeOptions } from './decorators/cache-stampede-safe.decorator.js';
export type { Loader, LoaderContext } from './loading/loader-run.js';
export {
  CACHE_CHANNELS,
  type CacheBackMessage,
  type CacheBypassedMessage,
  type CacheBypassReason,
  type CacheErrorMessage,
  type CacheMessage,
  type CacheMessages,
  type CacheHitMessage,
  type CacheOffMessage,
  type CacheTimedMessage,
} from './observe/cache.channels.js';
export type { CacheAvailabilityStats } from './observe/cache-availability.js';
export type { CacheCounts, CacheStats } from './observe/cache.stats.js';
export type { RawCache } from './cache.raw.js';
export { CacheEvict, type EvictOptions } from './decorators/cache-evict.decorator.js';
export { CachePut, type PutOptions } from './decorators/cache-put.decorator.js';
export type { BatchContext, BatchLoader } from './loading/batch-load.js';
export type { WarmEntry, WarmFailure, WarmOptions, WarmProgress } from './warm.js';
export type { LocalOptions } from './local/local.options.js';
