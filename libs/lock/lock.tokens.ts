/** Nest provider token of `LockService`. */
export const LOCK_SERVICE = 'sluice:lock-service';

/** Nest provider token of the module's options. */
export const LOCK_OPTIONS = 'sluice:lock-options';

/** Nest provider token of the `LockStore`: where locks are kept. */
export const LOCK_STORE = 'sluice:lock-store';
