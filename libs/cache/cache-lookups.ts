import { checkKey } from '../redis/index.js';
import { resolveVersion, type KeyOptions } from './cache.options.js';
import type { CacheWriter } from './cache-writer.js';
import { decode } from './codec/codec.js';
import type { LoadOptions } from './load-options.js';
import { copyInOutage } from './loading/outage-copies.js';
import type { LocalReads } from './local/local-reads.js';
import type { Kept, LocalTier } from './local/local-tier.js';
import type { CacheAvailability } from './observe/cache-availability.js';
import type { Meter, Meters } from './observe/cache.stats.js';
import { entryOf } from './store/cache.keys.js';
import type { CacheStore } from './store/cache.store.js';
import type { StoredValue } from './store/stored-value.js';

export interface CacheLookupsOptions {
  store: CacheStore;
  writer: CacheWriter;
  local: LocalTier | undefined;
  localReads: LocalReads;
  moduleWide: LoadOptions;
  meters: Meters;
  availability: CacheAvailability;
}

/** Reads of stored values, which never load: `get`, `getMany`, `take`. */
export class CacheLookups {
  readonly #store: CacheStore;
  readonly #writer: CacheWriter;
  readonly #local: LocalTier | undefined;
  readonly #localReads: LocalReads;
  readonly #moduleWide: LoadOptions;
  readonly #meters: Meters;
  readonly #availability: CacheAvailability;

  constructor({ store, writer, local, localReads, moduleWide, meters, availability }: CacheLookupsOptions) {
    this.#store = store;
    this.#writer = writer;
    this.#local = moduleWide.local ? local : undefined;
    this.#localReads = localReads;
    this.#moduleWide = moduleWide;
    this.#meters = meters;
    this.#availability = availability;
  }

  /** The value of a key, from a copy of this process or from Redis. */
  async get(key: string, options: KeyOptions | undefined): Promise<unknown> {
    const meter = this.#meters.of('get');
    const version = this.#version('get options', options);
    const entry = entryOf(checkKey(key), version);
    const found = this.#localReads.read(key, { ...this.#moduleWide, version }, meter);
    if (found) return found.value;
    const keptOf = (given: StoredValue | undefined): Kept | undefined =>
      given && { value: given, leftMs: given.freshUntilMs - this.#store.serverClock.latestMs() };
    const ask = (): Promise<StoredValue | undefined> => this.#store.get(entry);
    try {
      const value = await (this.#local?.keeping(entry, ask, keptOf) ?? ask());
      this.#availability.answered();
      return this.#decoded(key, value, meter);
    } catch (error) {
      meter.bypassed(key, this.#availability.bypassed(error));
      return copyInOutage({ local: this.#local }, { key, entry, options: this.#moduleWide, meter })?.take();
    }
  }

  /** Takes the value of a key: no other call gets it. Copies of this process are not read. */
  async take(key: string, options: KeyOptions | undefined): Promise<unknown> {
    const entry = entryOf(checkKey(key), this.#version('take options', options));
    return this.#decoded(key, await this.#writer.take(entry), this.#meters.of('take'));
  }

  #decoded(key: string, value: StoredValue | undefined, meter: Meter): unknown {
    if (value === undefined) {
      meter.miss(key);
      return undefined;
    }
    try {
      const decoded = decode(value.text);
      meter.hit(key, 'redis');
      return decoded;
    } catch {
      meter.broken(key);
      return undefined;
    }
  }

  #version(path: string, options: KeyOptions | undefined): string | undefined {
    return resolveVersion(path, options) ?? this.#moduleWide.version;
  }
}
