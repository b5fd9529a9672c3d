export { CacheLoaderError, CacheLoaderTimeoutError, type LoaderFailure } from './cache.errors.js';
export { SluiceCacheModule } from './cache.module.js';
export type { CacheLease, LeasedLoad } from './cache-lease.js';
export type {
  CacheOptions,
  CompressionOptions,
  KeyOptions,
  LeaseOptions,
  SetOptions,
  SluiceCacheModuleOptions,
} from './cache.options.js';
export { CACHE_SERVICE, CacheService } from './cache.service.js';
export { CacheStampedeSafe, type StampedeSafeOptions } from './cache-stampede-safe.decorator.js';
export type { Loader, LoaderContext } from './load.js';
export {
  CACHE_CHANNELS,
  type CacheErrorMessage,
  type CacheMessage,
  type CacheHitMessage,
  type CacheTimedMessage,
} from './cache.channels.js';
export type { CacheCounts, CacheStats } from './cache.stats.js';
export type { RawCache } from './raw-cache.js';
export { CacheEvict, type EvictOptions } from './cache-evict.decorator.js';
export { CachePut, type PutOptions } from './cache-put.decorator.js';
export type { BatchContext, BatchLoader } from './batch.js';
export type { WarmEntry, WarmFailure, WarmOptions, WarmProgress } from './warm.js';
export type { LocalOptions } from './local.options.js';
