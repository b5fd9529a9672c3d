import type { CacheStore, NewValue } from './store/cache.store.js';
import type { StoredValue } from './store/stored-value.js';
import type { InvalidationRepeats } from './store/invalidation-repeats.js';
import type { LocalTier } from './local/local-tier.js';
import { debug } from './observe/cache.debug.js';
import type { CacheReader } from './cache-reader.js';

/**
 * The changes that users make to the cache. With each change this process forgets what it knows of the changed values: before the
 * change, and again once its outcome is known. A read that was under way meanwhile may have got the old value. A caller that asks
 * after the acknowledgement must not find the old value in this process.
 */
export class CacheWriter {
  readonly #store: CacheStore;
  readonly #reader: CacheReader;
  readonly #local: LocalTier | undefined;
  readonly #repeats: InvalidationRepeats | undefined;

  /** @param repeats repeats at another server what was invalidated. A store of this process alone needs none */
  constructor(
    store: CacheStore,
    reader: CacheReader,
    local: LocalTier | undefined,
    repeats: InvalidationRepeats | undefined,
  ) {
    this.#store = store;
    this.#reader = reader;
    this.#local = local;
    this.#repeats = repeats;
  }

  set(entry: string, value: NewValue): Promise<void> {
    return this.#changing(
      () => {
        this.#forget(entry);
      },
      () => this.#store.set(entry, value),
      () => this.#repeats?.stored(entry),
      'set of',
      entry,
    );
  }

  delete(entry: string): Promise<boolean> {
    return this.#changing(
      () => {
        this.#forget(entry);
      },
      () => this.#store.delete(entry),
      () => this.#repeats?.deleted(entry),
      'delete of',
      entry,
    );
  }

  /** Removes a value and returns it. No other call gets it. */
  take(entry: string): Promise<StoredValue | undefined> {
    return this.#changing(
      () => {
        this.#forget(entry);
      },
      () => this.#store.take(entry),
      (taken) => {
        if (taken !== undefined) this.#repeats?.deleted(entry);
      },
      'take of',
      entry,
    );
  }

  async invalidateTags(tags: readonly string[]): Promise<void> {
    const set = new Set(tags);
    await this.#changing(
      () => {
        this.#reader.forgetTagged(set);
        for (const tag of tags) this.#local?.dropTag(tag);
      },
      () => this.#store.invalidateTags(tags),
      () => this.#repeats?.invalidated(tags),
      'invalidation of tags',
      tags,
    );
    this.#reader.revalidate(set);
  }

  async clear(): Promise<void> {
    await this.#changing(
      () => {
        this.#reader.forgetTagged();
        this.#local?.clear();
      },
      () => this.#store.clear(),
      () => this.#repeats?.cleared(),
      'clear',
      '',
    );
    this.#reader.revalidate();
  }

  async #changing<T>(
    forget: () => void,
    change: () => Promise<T>,
    acknowledged: (changed: T) => void,
    what: string,
    names: string | readonly string[],
  ): Promise<T> {
    forget();
    try {
      const changed = await change();
      acknowledged(changed);
      debug?.('%s %s acknowledged', what, names);
      return changed;
    } finally {
      forget();
    }
  }

  #forget(entry: string): void {
    this.#reader.forget(entry);
    this.#local?.drop(entry);
  }
}
