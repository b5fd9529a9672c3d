/** Nest provider token of `CacheService`. */
export const CACHE_SERVICE = 'sluice:cache-service';

/** Nest provider token of the module's options, as given. */
export const CACHE_OPTIONS = 'sluice:cache-options';
