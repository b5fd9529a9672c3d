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

/** A load that this process runs for the fleet: what it can be told from outside. */
export interface RunningLoad {
  /** Tags were invalidated (without any: everything): it finds out whether it is void. */
  revalidate(tags?: readonly string[]): void;
  /** It gives its lease up and goes on for its own callers. */
  detach(): Promise<void>;
}

/** What the reads of one process share. */
export interface ReadContext {
  readonly store: CacheStore;
  readonly pushRouter: PushRouter;
  readonly clock: Clock;
  readonly random: Random;
  readonly recentlySeen: RecentlySeen;
  /** Loaders that run at sources that take only so many. */
  readonly loadLimiter: LocalLoadLimiter;
  readonly local: LocalTier | undefined;
  readonly availability: CacheAvailability;
  readonly ownErrors: OwnErrors;
  readonly scopes: LoadScopes;
  /** By token: the loads that this process was granted. */
  readonly loadLeases: BriefMap<string, RunningLoad>;
  /** Redis is about to be let go: nothing more is asked of it. */
  readonly closed: boolean;
  /** Of an error that no caller gets. */
  report(error: unknown, what: string): void;
}

/** What is read: a user's key, as an entry, and how. */
export interface ReadRequest {
  readonly key: string;
  readonly entry: string;
  readonly options: LoadOptions;
  readonly meter: Meter;
  /** The loader that makes this read, if one does. */
  readonly scope: LoadScope | undefined;
  /** How many loads its source takes at once; 0: any number, or the loader that makes this read holds a slot there. */
  readonly limit: number;
  /** Called when it is known that this read waits for somebody else, if it does. */
  readonly onWait?: (() => void) | undefined;
}
