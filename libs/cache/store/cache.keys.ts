import type { Keyspace } from '../../redis/index.js';

/**
 * What a user's key is called inside of the cache: the key, within a version of the app if one is given. Two versions never
 * read each other's values.
 */
export function entryOf(key: string, version?: string): string {
  return version === undefined ? `:${key}` : `~v:${encodeURIComponent(version)}:${key}`;
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
}
