import type { CacheOptions } from '../cache.options.js';
import type { LoadOptions } from '../load-options.js';
import type { Meter } from '../observe/cache.stats.js';
import { entryOf } from '../store/cache.keys.js';
import type { LocalTier } from './local-tier.js';

/** Answers reads from the copies of this process. This path runs a million times a second, so it is written for speed. */
export class LocalReads {
  readonly #tier: LocalTier | undefined;
  readonly #moduleWide: LoadOptions;

  constructor(tier: LocalTier | undefined, moduleWide: LoadOptions) {
    this.#tier = tier;
    this.#moduleWide = moduleWide;
  }

  /** The value from a copy in this process, or undefined if no copy may be used. The options may still be unchecked. */
  read(key: string, options: CacheOptions<never> | LoadOptions, meter: Meter): { value: unknown } | undefined {
    const tier = this.#tier;
    // A key that is not a string (7) must not find the copy of the string that looks like it ('7').
    if (tier === undefined || typeof key !== 'string' || !(options.local ?? this.#localBy(options.consistency)))
      return undefined;
    const entry = entryOf(key, options.version ?? this.#moduleWide.version);
    const copy = tier.read(entry);
    if (copy === undefined) return undefined;
    try {
      const value = copy.take();
      const revived = options.revive ? options.revive(value) : value;
      meter.hit(key, 'local');
      return { value: revived };
    } catch {
      // The text in Redis is broken as well. The read from Redis that follows counts the error and removes the text.
      tier.drop(entry);
      return undefined;
    }
  }

  #localBy(consistency: LoadOptions['consistency'] | undefined): boolean {
    return consistency === undefined ? this.#moduleWide.local : consistency === 'bounded';
  }
}
