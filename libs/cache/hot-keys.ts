/**
 * Entries that had a value a moment ago, with the tags that it had, and so are worth a plain look before the question that may
 * end in a lease: it costs Redis and this process half as much. A guess, never more: wrong, it costs one command.
 *
 * Two generations of at most `size` entries each; when the young one is full it becomes the old one.
 */
export class HotKeys {
  readonly #size: number;
  #young = new Map<string, readonly string[]>();
  #old = new Map<string, readonly string[]>();

  constructor(size = 10_000) {
    this.#size = size;
  }

  /** The tags that it had. */
  tagsOf(entry: string): readonly string[] | undefined {
    const young = this.#young.get(entry);
    if (young !== undefined) return young;
    const old = this.#old.get(entry);
    if (old !== undefined) this.add(entry, old);
    return old;
  }

  add(entry: string, tags: readonly string[]): void {
    if (this.#young.size >= this.#size) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(entry, tags);
  }

  delete(entry: string): void {
    this.#young.delete(entry);
    this.#old.delete(entry);
  }
}
