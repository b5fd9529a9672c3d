/** Nest provider token of `CacheService`. */
export const CACHE_SERVICE = 'sluice:cache-service';
