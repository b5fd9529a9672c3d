import { channel } from 'node:diagnostics_channel';

/** What messages about a key say: which key, on whose behalf. */
export interface CacheMessage {
  readonly key: string;
  /** `Class.method` of the decorated method, else the name of the service's method. */
  readonly method: string;
}

/** `sluice:cache:hit` */
export interface CacheHitMessage extends CacheMessage {
  /** Where the value was: in this process, in Redis, or in Redis past its time. */
  readonly from: 'local' | 'redis' | 'stale';
}

/** `sluice:cache:load` and `sluice:cache:wait`: one that has ended, well or not. */
export interface CacheTimedMessage extends CacheMessage {
  readonly ms: number;
}

/** `sluice:cache:error` */
export interface CacheErrorMessage extends CacheMessage {
  readonly error: unknown;
}

/**
 * Why Redis did not answer a read: there is no connection; no reply came in time; none came a moment ago, so that Redis was not
 * asked; or it refused.
 */
export type CacheBypassReason = 'down' | 'timeout' | 'breaker' | 'refused';

/** `sluice:cache:bypassed` */
export interface CacheBypassedMessage extends CacheMessage {
  readonly reason: CacheBypassReason;
}

/** `sluice:cache:off` */
export interface CacheOffMessage {
  /** Of the first read that was not answered. */
  readonly reason: CacheBypassReason;
  /** What that read got instead of an answer. */
  readonly error: unknown;
}

/** `sluice:cache:back` */
export interface CacheBackMessage {
  /** What is over: `'down'`, Redis did not answer; `'refused'`, it refused. */
  readonly reason: 'down' | 'refused';
  /** From the first to the last read that was not answered, in milliseconds. */
  readonly ms: number;
  /** How many reads were not answered. */
  readonly reads: number;
}

/** By channel, the message of each. */
export interface CacheMessages {
  'sluice:cache:hit': CacheHitMessage;
  'sluice:cache:miss': CacheMessage;
  'sluice:cache:load': CacheTimedMessage;
  'sluice:cache:wait': CacheTimedMessage;
  'sluice:cache:coalesced': CacheMessage;
  'sluice:cache:voided': CacheMessage;
  'sluice:cache:broken': CacheMessage;
  'sluice:cache:error': CacheErrorMessage;
  'sluice:cache:bypassed': CacheBypassedMessage;
  'sluice:cache:off': CacheOffMessage;
  'sluice:cache:back': CacheBackMessage;
}

/**
 * The names of the cache's channels of `node:diagnostics_channel`. A message is made only while somebody subscribes, and in the
 * process where it happens. A subscriber runs within the cache's own work: it must be quick.
 *
 * | channel                  | message             | when                                                               |
 * | ------------------------ | ------------------- | ------------------------------------------------------------------ |
 * | `sluice:cache:hit`       | CacheHitMessage     | a value was found                                                  |
 * | `sluice:cache:miss`      | CacheMessage        | Redis was asked, and had none                                      |
 * | `sluice:cache:load`      | CacheTimedMessage   | a loader ended                                                     |
 * | `sluice:cache:wait`      | CacheTimedMessage   | a wait for another process' load ended                             |
 * | `sluice:cache:coalesced` | CacheMessage        | a caller joined a read that ran in this process                    |
 * | `sluice:cache:voided`    | CacheMessage        | what was loaded was not stored: invalidated meanwhile, lease lost  |
 * | `sluice:cache:broken`    | CacheMessage        | a stored value could not be read, and was taken for a miss         |
 * | `sluice:cache:error`     | CacheErrorMessage   | a caller got an error                                              |
 * | `sluice:cache:bypassed`  | CacheBypassedMessage | Redis did not answer a read, or refused it                        |
 * | `sluice:cache:off`       | CacheOffMessage     | Redis began not to answer reads, or to refuse them                 |
 * | `sluice:cache:back`      | CacheBackMessage    | it answers again, or refuses no more                               |
 *
 * @example
 * subscribeSluice(CACHE_CHANNELS.load, ({ ms }) => histogram.record(ms));
 */
export const CACHE_CHANNELS = {
  hit: 'sluice:cache:hit',
  miss: 'sluice:cache:miss',
  load: 'sluice:cache:load',
  wait: 'sluice:cache:wait',
  coalesced: 'sluice:cache:coalesced',
  voided: 'sluice:cache:voided',
  broken: 'sluice:cache:broken',
  error: 'sluice:cache:error',
  bypassed: 'sluice:cache:bypassed',
  off: 'sluice:cache:off',
  back: 'sluice:cache:back',
} as const satisfies Record<string, keyof CacheMessages>;

/** The channels themselves: code that holds them spares the look-up by name. */
export const channels = {
  hit: channel(CACHE_CHANNELS.hit),
  miss: channel(CACHE_CHANNELS.miss),
  load: channel(CACHE_CHANNELS.load),
  wait: channel(CACHE_CHANNELS.wait),
  coalesced: channel(CACHE_CHANNELS.coalesced),
  voided: channel(CACHE_CHANNELS.voided),
  broken: channel(CACHE_CHANNELS.broken),
  error: channel(CACHE_CHANNELS.error),
  bypassed: channel(CACHE_CHANNELS.bypassed),
  off: channel(CACHE_CHANNELS.off),
  back: channel(CACHE_CHANNELS.back),
};
