import { createHash } from 'node:crypto';
import { rightsOn, type Keyspace, type Right } from '../../redis/index.js';
import { checkText, NAME_MAX_BYTES, isLongerThan } from '../../weave/index.js';

/**
 * The name of a user's key inside the cache (the entry): the key, together with the version of the app if one is given. Two
 * versions never read each other's values. A key of more than 1,024 bytes is replaced by its SHA-256, because maps of this
 * process and messages to other processes contain the name many times.
 */
export function entryOf(key: string, version?: string): string {
  if (isLongerThan(key, NAME_MAX_BYTES))
    return `~h:${version === undefined ? '' : encodeVersion(version)}:${hashOf(key)}`;
  return version === undefined ? `:${key}` : `~v:${encodeVersion(version)}:${key}`;
}

/** The beginnings of entries. Client tracking filters the names of keys by them. */
export const ENTRY_PREFIXES: readonly string[] = [':', '~v:', '~h:'];

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('base64url');
}

/**
 * The Redis keys of the cache. They share one hash tag, so that one script can change several of them in one step. The key of a
 * value never equals a key of another kind. After the hash tag, the key of a value has one of {@link ENTRY_PREFIXES}, and every
 * other key has a tilde and a word.
 */
export class CacheKeys {
  /** The key of the counter of invalidations. */
  readonly sequence: string;
  /** The key of the epoch of everything. */
  readonly epoch: string;
  /** The key of the tags that were invalidated recently. */
  readonly recent: string;
  /** The beginning of the keys of tags' epochs. */
  readonly tagPrefix: string;
  readonly #lane: string;

  constructor(keyspace: Keyspace) {
    const lane = keyspace.tag('cache');
    this.#lane = lane;
    this.sequence = `${lane}~sequence`;
    this.epoch = `${lane}~epoch`;
    this.recent = `${lane}~recent`;
    this.tagPrefix = `${lane}~tag:`;
  }

  value(entry: string): string {
    return this.#lane + entry;
  }

  lease(entry: string): string {
    return `${this.#lane}~lease${entry}`;
  }

  slots(source: string): string {
    return `${this.#lane}~slots:${source}`;
  }

  queue(source: string): string {
    return `${this.#lane}~queue:${source}`;
  }

  /** The rights that a user of Redis needs for every command and every script of the cache. */
  rights(invalidationChannel: string): Right[] {
    return [
      ['time', ''],
      ...rightsOn(this.value(':any'), 'del get mget pexpire set type unlink'),
      ...rightsOn(this.lease(':any'), 'del hget hgetall hmget hset pexpire pttl'),
      ...rightsOn(this.sequence, 'get incr'),
      ...rightsOn(this.epoch, 'del get pexpire pttl set'),
      ...rightsOn(this.recent, 'pexpire pttl zadd zcard zrange zremrangebyscore zscore'),
      ...rightsOn(this.slots('any'), 'pexpire zadd zcard zrem zremrangebyscore zscore'),
      ...rightsOn(this.queue('any'), 'pexpire zadd zpopmin zrem'),
      ...rightsOn(invalidationChannel, 'publish subscribe'),
    ];
  }
}

/** The version is checked here, because a local hit is looked for before the options of the call are checked. */
function encodeVersion(version: string): string {
  return encodeURIComponent(checkText(version, 'version'));
}
