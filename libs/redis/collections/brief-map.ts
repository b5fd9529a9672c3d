/**
 * A Map for entries that live briefly. It starts with a new Map whenever it becomes empty.
 *
 * V8 replaces the table of a Map each time it becomes empty, and links the old table to the new one. Once one of them has grown
 * old, all that follow survive each minor collection, until the next full one.
 */
export class BriefMap<K, V> {
  #map = new Map<K, V>();

  get(key: K): V | undefined {
    return this.#map.get(key);
  }

  set(key: K, value: V): void {
    this.#map.set(key, value);
  }

  delete(key: K): void {
    if (this.#map.size > 1) this.#map.delete(key);
    else if (this.#map.has(key)) this.#map = new Map();
  }

  /** A copy of the entries of this moment. Later changes of the map do not change the copy. */
  entries(): [K, V][] {
    return [...this.#map];
  }
}
