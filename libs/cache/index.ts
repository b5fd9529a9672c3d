export { CacheLoaderError, CacheLoaderTimeoutError, type LoaderFailure } from './cache.errors.js';
export { SluiceCacheModule } from './cache.module.js';
export type { CacheLease, LeasedLoad } from './loading/manual-load.js';
export type {
  CacheOptions,
  CompressionOptions,
  KeyOptions,
  LeaseOptions,
  SetOptions,
  SluiceCacheModuleOptions,
} from './cache.options.js';
export { CacheService } from './cache.service.js';
export { CACHE_SERVICE } from './cache.tokens.js';
export { CacheStampedeSafe, type StampedeSafeOptions } from './decorators/cache-stampede-safe.decorator.js';
export type { Loader, LoaderContext } from './loading/loader-run.js';
export {
  CACHE_CHANNELS,
  type CacheErrorMessage,
  type CacheMessage,
  type CacheHitMessage,
  type CacheTimedMessage,
} from './observe/cache.channels.js';
export type { CacheCounts, CacheStats } from './observe/cache.stats.js';
export type { RawCache } from './cache.raw.js';
export { CacheEvict, type EvictOptions } from './decorators/cache-evict.decorator.js';
export { CachePut, type PutOptions } from './decorators/cache-put.decorator.js';
export type { BatchContext, BatchLoader } from './loading/batch-load.js';
export type { WarmEntry, WarmFailure, WarmOptions, WarmProgress } from './loading/warm.js';
export type { LocalOptions } from './local/local.options.js';
