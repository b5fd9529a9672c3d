import type { Keyspace } from '../../redis/index.js';
import { lockKeys, type LockKeys } from './lock.keys.js';

/** How many names are remembered, at most and at least half of that. */
const REMEMBERED = 20_000;

/** Characters of the names in one generation. Each name is kept four times, alone and in its keys: some 10 MB in all. */
const CHARS_MAX = 1_000_000;

/** What a process remembers of one lock. */
export interface CachedLockKeys extends LockKeys {
  /**
   * The highest token that this process was granted. It is sent along as the floor of the next one, so tokens do not fall
   * back in the eyes of a process even when Redis lost its data and its clock was set back at once.
   */
  highest: number;
  /** The same as text, as scripts get it. */
  floor: string;
}

/**
 * The locks that a process has used lately: their keys, built and checked once, and their highest tokens.
 *
 * Two generations, the older of which is dropped when the younger is full: bounded without a list of who was used when.
 */
export class LockKeyCache {
  readonly #keyspace: Keyspace;
  readonly #size: number;
  #young = new Map<string, CachedLockKeys>();
  #youngChars = 0;
  #old = new Map<string, CachedLockKeys>();

  constructor(keyspace: Keyspace, size = REMEMBERED) {
    this.#keyspace = keyspace;
    this.#size = size / 2;
  }

  /** @throws SluiceError `SLUICE_BAD_NAME` */
  get(name: string): CachedLockKeys {
    const known = this.#young.get(name);
    if (known !== undefined) return known;
    const found = this.#old.get(name) ?? { ...lockKeys(this.#keyspace, name), highest: 0, floor: '0' };
    if (this.#young.size >= this.#size || this.#youngChars >= CHARS_MAX) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngChars = 0;
    }
    this.#young.set(name, found);
    this.#youngChars += name.length;
    return found;
  }
}
