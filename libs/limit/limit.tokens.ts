/** Nest provider token of `RateLimitService`. */
export const LIMIT_SERVICE = 'sluice:limit-service';

/** Nest provider token of the module's options. */
export const LIMIT_OPTIONS = 'sluice:limit-options';

/** Nest provider token of the `LimitStore`: where limits are kept. */
export const LIMIT_STORE = 'sluice:limit-store';
