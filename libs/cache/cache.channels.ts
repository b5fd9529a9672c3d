import { channel } from 'node:diagnostics_channel';

/** What every message of the cache's channels says: which key, on whose behalf. */
export interface CacheEvent {
  readonly key: string;
  /** `Class.method` of the decorated method, else the name of the service's method. */
  readonly method: string;
}

/** `sluice:cache:hit` */
export interface CacheHitEvent extends CacheEvent {
  /** Where the value was: in this process, in Redis, or in Redis past its time. */
  readonly from: 'local' | 'redis' | 'stale';
}

/** `sluice:cache:load` and `sluice:cache:wait`: one that has ended, well or not. */
export interface CacheTimedEvent extends CacheEvent {
  readonly ms: number;
}

/** `sluice:cache:error` */
export interface CacheErrorEvent extends CacheEvent {
  readonly error: unknown;
}

/**
 * What happens in the cache, for whoever subscribes through `node:diagnostics_channel`; without subscribers a message is not even
 * made. A subscriber runs within the cache's own work: it must be quick.
 *
 * | channel                  | message           | when                                                               |
 * | ------------------------ | ----------------- | ------------------------------------------------------------------ |
 * | `sluice:cache:hit`       | CacheHitEvent     | a value was found                                                  |
 * | `sluice:cache:miss`      | CacheEvent        | Redis was asked, and had none                                      |
 * | `sluice:cache:load`      | CacheTimedEvent   | a loader ended                                                     |
 * | `sluice:cache:wait`      | CacheTimedEvent   | a wait for another process' load ended                             |
 * | `sluice:cache:coalesced` | CacheEvent        | a caller joined a read that ran in this process                    |
 * | `sluice:cache:voided`    | CacheEvent        | what was loaded was not stored: invalidated meanwhile, lease lost  |
 * | `sluice:cache:broken`    | CacheEvent        | a stored value could not be read, and was taken for a miss         |
 * | `sluice:cache:error`     | CacheErrorEvent   | a caller got an error                                              |
 *
 * @example
 * import { subscribe } from 'node:diagnostics_channel';
 * subscribe('sluice:cache:load', (message) => histogram.record((message as CacheTimedEvent).ms));
 */
export const cacheChannels = {
  hit: channel('sluice:cache:hit'),
  miss: channel('sluice:cache:miss'),
  load: channel('sluice:cache:load'),
  wait: channel('sluice:cache:wait'),
  coalesced: channel('sluice:cache:coalesced'),
  voided: channel('sluice:cache:voided'),
  broken: channel('sluice:cache:broken'),
  error: channel('sluice:cache:error'),
} as const;
