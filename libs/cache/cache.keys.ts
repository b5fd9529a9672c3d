import type { Keyspace } from '../redis/index.js';

/** The Redis keys of one cached key: its value, and the lease of whoever loads it. */
export class CacheKeys {
  /**
   * The hash tag that a key's value and lease share. One for all on a single Redis, so that whatever concerns several
   * keys can be one step.
   */
  readonly laneOf: (key: string) => string;

  /** Counts the invalidations of a lane. */
  readonly sequence: string;

  constructor(keyspace: Keyspace) {
    const lane = keyspace.tag('cache');
    this.laneOf = () => lane;
    this.sequence = `${lane}~sequence`;
  }

  value(key: string): string {
    return `${this.laneOf(key)}:${key}`;
  }

  /** Cannot be any key's value: after the tag that has a colon. */
  lease(key: string): string {
    return `${this.laneOf(key)}~lease:${key}`;
  }
}
