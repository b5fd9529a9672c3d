import type { CacheOptions } from '../cache.options.js';
import type { LoadOptions } from '../load-options.js';
import type { Meter } from '../observe/cache.stats.js';
import { entryOf } from '../store/cache.keys.js';
import type { LocalTier } from './local-tier.js';

/** Answers reads from the copies of this process. Written for the path that is taken a million times a second. */
export class LocalReads {
  readonly #tier: LocalTier | undefined;
  readonly #moduleWide: LoadOptions;

  constructor(tier: LocalTier | undefined, moduleWide: LoadOptions) {
    this.#tier = tier;
    this.#moduleWide = moduleWide;
  }

  /** A copy of this process, if there is one that may be used. The options may still be unchecked. */
  read(key: string, options: CacheOptions<never> | LoadOptions, meter: Meter): { value: unknown } | undefined {
    const tier = this.#tier;
    // A key that is no string must not find the copy of a string that looks like it.
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
      // The text in Redis is broken as well. The read that follows counts it and removes it.
      tier.drop(entry);
      return undefined;
    }
  }

  #localBy(consistency: LoadOptions['consistency'] | undefined): boolean {
    return consistency === undefined ? this.#moduleWide.local : consistency === 'bounded';
  }
}
