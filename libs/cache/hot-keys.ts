/**
 * Keys that had a value a moment ago, and so are worth a plain GET before the question that may end in a lease: it costs
 * Redis and this process half as much. A guess, never more: wrong, it costs one command.
 *
 * Two generations of at most `size` keys each; when the young one is full it becomes the old one.
 */
export class HotKeys {
  readonly #size: number;
  #young = new Set<string>();
  #old = new Set<string>();

  constructor(size = 10_000) {
    this.#size = size;
  }

  has(key: string): boolean {
    if (this.#young.has(key)) return true;
    if (!this.#old.has(key)) return false;
    this.add(key);
    return true;
  }

  add(key: string): void {
    if (this.#young.size >= this.#size) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    this.#young.add(key);
  }

  delete(key: string): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }
}
