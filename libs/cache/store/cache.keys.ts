import { createHash } from 'node:crypto';
import type { Keyspace, Right } from '../../redis/index.js';
import { checkText, NAME_MAX_BYTES, isLongerThan } from '../../weave/index.js';

/**
 * What a user's key is called inside of the cache: the key, within a version of the app if one is given. Two versions never
 * read each other's values. A key of more than 1,024 bytes is stored under its SHA-256: maps of this process and messages to
 * others carry it many times.
 */
export function entryOf(key: string, version?: string): string {
  if (isLongerThan(key, NAME_MAX_BYTES))
    return `~h:${version === undefined ? '' : encodeVersion(version)}:${hashOf(key)}`;
  return version === undefined ? `:${key}` : `~v:${encodeVersion(version)}:${key}`;
}

/** What entries begin with: names of keys that a client tracks are filtered by it. */
export const ENTRY_PREFIXES: readonly string[] = [':', '~v:', '~h:'];

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('base64url');
}

/**
 * The Redis keys of the cache. They share one hash tag, so that whatever concerns several of them can be one step. No key
 * of a user's is another's: after the tag, theirs have a colon and all else has a tilde.
 */
export class CacheKeys {
  /** Counts the invalidations. */
  readonly sequence: string;
  /** The epoch of everything. */
  readonly epoch: string;
  /** Tags that were invalidated lately. */
  readonly recent: string;
  /** What the keys of tags' epochs begin with. */
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

  /** What a user needs to run every script of the cache. */
  rights(invalidationChannel: string): Right[] {
    const [value, lease] = [this.value(':any'), this.lease(':any')];
    return [
      ...['get', 'mget', 'unlink', 'del'].map((command): Right => [command, value]),
      ['set', value, ''],
      ['pexpire', value, '1'],
      ['hset', lease, '', ''],
      ['hmget', lease, ''],
      ['hgetall', lease],
      ['incr', this.sequence],
      ['zadd', this.recent, '1', ''],
      ['zrange', this.recent, '0', '-1'],
      ['publish', invalidationChannel, ''],
      ['subscribe', invalidationChannel],
    ];
  }
}

/** A local hit is looked for before the options of the call are checked. */
function encodeVersion(version: string): string {
  return encodeURIComponent(checkText(version, 'version'));
}
