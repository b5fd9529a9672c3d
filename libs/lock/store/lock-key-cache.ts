import { GenerationalMap, type Keyspace } from '../../redis/index.js';
import { checkLockName, lockKeys, type LockKeys } from './lock.keys.js';

/** How many names are remembered at most. At least half of this number is remembered. */
const REMEMBERED = 20_000;

/** Characters of the names in one generation. Each name is kept four times, alone and in its keys: some 10 MB in all. */
const CHARS_MAX = 1_000_000;

/** What a process remembers of one lock. */
export interface CachedLockKeys extends LockKeys {
  /**
   * The highest token that this process was granted. It is sent along as the floor of the next token. So a process never sees a
   * lower token, even if Redis lost its data and its clock was set back at the same time.
   */
  highest: number;
  /** The same as text, as scripts expect it. */
  floor: string;
}

/** The locks that a process has used lately: their keys, built and checked once, and their highest tokens. */
export class LockKeyCache {
  readonly #keyspace: Keyspace;
  readonly #known: GenerationalMap<string, CachedLockKeys>;

  constructor(keyspace: Keyspace, size = REMEMBERED) {
    this.#keyspace = keyspace;
    this.#known = new GenerationalMap({ size: size / 2, weightMax: CHARS_MAX, weigh: (name) => name.length });
  }

  /** @throws SluiceError `SLUICE_BAD_NAME` */
  get(name: string): CachedLockKeys {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const made = this.#checked(name);
    this.#known.set(name, made);
    return made;
  }

  #checked(name: string): CachedLockKeys {
    return { ...lockKeys(this.#keyspace, checkLockName(name)), highest: 0, floor: '0' };
  }
}
