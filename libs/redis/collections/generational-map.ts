export interface GenerationalMapOptions<K, V> {
  /** Entries in one generation. The map holds at most twice as many. */
  size: number;
  /** The weight of one generation. Default: unlimited. */
  weightMax?: number;
  /** What an entry weighs, when it enters a generation. Default: nothing. */
  weigh?: (key: K, value: V) => number;
}

/**
 * A map of bounded size that forgets the entries that were not used lately.
 *
 * It has two generations. When the young one is full, it becomes the old one, and the old one is dropped. An entry that is
 * found in the old one moves to the young one. So no list of uses has to be kept: a hit is one lookup in a Map.
 */
export class GenerationalMap<K, V> {
  readonly #size: number;
  readonly #weightMax: number;
  readonly #weigh: ((key: K, value: V) => number) | undefined;
  #young = new Map<K, V>();
  #youngWeight = 0;
  #old = new Map<K, V>();

  constructor({ size, weightMax = Infinity, weigh }: GenerationalMapOptions<K, V>) {
    this.#size = size;
    this.#weightMax = weightMax;
    this.#weigh = weigh;
  }

  get(key: K): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.#enter(key, old);
    return old;
  }

  set(key: K, value: V): void {
    if (this.#young.has(key)) this.#young.set(key, value);
    else this.#enter(key, value);
  }

  delete(key: K): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }

  /** All that is remembered, each key once. */
  entries(): [K, V][] {
    return [...this.#old, ...this.#young];
  }

  #enter(key: K, value: V): void {
    this.#old.delete(key);
    if (this.#young.size >= this.#size || this.#youngWeight >= this.#weightMax) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngWeight = 0;
    }
    if (this.#weigh !== undefined) this.#youngWeight += this.#weigh(key, value);
    this.#young.set(key, value);
  }
}
