import type { BriefMap, Clock, Random } from '../../redis/index.js';
import type { LoadOptions } from '../load-options.js';
import type { OwnErrors } from '../loader-failures.js';
import type { LocalTier } from '../local/local-tier.js';
import type { CacheAvailability } from '../observe/cache-availability.js';
import type { Meter } from '../observe/cache.stats.js';
import type { CacheStore } from '../store/cache.store.js';
import type { RecentlySeen } from '../store/recently-seen.js';
import type { LoadScope, LoadScopes } from './load-scopes.js';
import type { LocalLoadLimiter } from './local-load-limiter.js';
import type { PushRouter } from './push-router.js';

/** A load that this process runs for the fleet, as the rest of the cache sees it. */
export interface RunningLoad {
  /** Tags were invalidated; without tags, everything was. The load asks Redis whether it is void. */
  revalidate(tags?: ReadonlySet<string>): void;
  /** The load gives up its lease and goes on for its own callers. */
  detach(): Promise<void>;
}

/** The parts that all reads of one process share. */
export interface ReadContext {
  readonly store: CacheStore;
  readonly pushRouter: PushRouter;
  readonly clock: Clock;
  readonly random: Random;
  readonly recentlySeen: RecentlySeen;
  /** Counts the loaders that run at sources with a limit. */
  readonly loadLimiter: LocalLoadLimiter;
  readonly local: LocalTier | undefined;
  readonly availability: CacheAvailability;
  readonly ownErrors: OwnErrors;
  readonly scopes: LoadScopes;
  /** The loads that this process was granted, by token. */
  readonly loadLeases: BriefMap<string, RunningLoad>;
  /** The connection is about to close: no more questions are sent. */
  readonly closed: boolean;
  /** Reports an error that no caller gets. */
  report(error: unknown, what: string): void;
}

/** One read: the user's key, the entry in Redis, and the options. */
export interface ReadRequest {
  readonly key: string;
  readonly entry: string;
  readonly options: LoadOptions;
  readonly meter: Meter;
  /** The loader that makes this read, if one does. */
  readonly scope: LoadScope | undefined;
  /** How many loads its source takes at once; 0: any number, or the loader that makes this read holds a slot there. */
  readonly limit: number;
  /** Called once this read is known to wait for another load or a slot. */
  readonly onWait?: (() => void) | undefined;
}
