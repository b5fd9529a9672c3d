export { CacheLoaderError, CacheLoaderTimeoutError, type LoaderFailure } from './cache.errors.js';
export { SluiceCacheModule } from './cache.module.js';
export type { CacheLease, LeasedLoad } from './cache-lease.js';
export type { CacheOptions, KeyOptions, LeaseOptions, SetOptions, SluiceCacheModuleOptions } from './cache.options.js';
export { CACHE_SERVICE, CacheService } from './cache.service.js';
export { CacheStampedeSafe, type StampedeSafeOptions } from './cache-stampede-safe.decorator.js';
export type { Loader, LoaderContext } from './load.js';
export {
  cacheChannels,
  type CacheErrorEvent,
  type CacheEvent,
  type CacheHitEvent,
  type CacheTimedEvent,
} from './cache.channels.js';
export type { CacheCounts, CacheStats } from './cache.stats.js';
export type { RawCache } from './raw-cache.js';
