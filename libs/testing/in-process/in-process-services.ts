import { CacheService, type SluiceCacheModuleOptions } from '../../cache/index.js';
import type { CacheStore } from '../../cache/store/cache.store.js';
import type { RedisConnections } from '../../redis/index.js';
import { InProcessCacheStore } from './in-process-cache.store.js';
import { InProcessLimitStore } from './in-process-limit.store.js';
import { InProcessLockStore } from './in-process-lock.store.js';

/** The locks of an app, within this process. */
export function inProcessLocks({ clock, processId }: RedisConnections): InProcessLockStore {
  return new InProcessLockStore(clock, processId);
}

/** The rate limits of an app, within this process. */
export function inProcessLimits({ clock }: RedisConnections): InProcessLimitStore {
  return new InProcessLimitStore(clock);
}

/** The cache of an app, within this process. */
export function inProcessCache(
  connections: RedisConnections,
  options: SluiceCacheModuleOptions | undefined,
): CacheService {
  // This store has every public member of a CacheStore, and needs none of the private ones.
  const store = new InProcessCacheStore(connections.clock) as unknown as CacheStore;
  return new CacheService(connections, options, store);
}
