/** As many tags as are remembered: 1 MB at most, because a tag has at most 1,024 bytes. */
const MOST = 1_000;

/** The tags that were invalidated last, and in which order. An answer that was on its way meanwhile may have one of them. */
export class DroppedTags {
  readonly #at = new Map<string, number>();
  #count = 0;

  /** How many were invalidated so far. Names an instant for {@link any}. */
  get count(): number {
    return this.#count;
  }

  /** False: too many, and all are forgotten. Then no answer that is on its way may be kept. */
  add(tag: string): boolean {
    this.#at.set(tag, ++this.#count);
    if (this.#at.size <= MOST) return true;
    this.#at.clear();
    return false;
  }

  /** Whether one of these tags was invalidated after that instant. */
  any(tags: readonly string[], since: number): boolean {
    return this.#count !== since && tags.some((tag) => (this.#at.get(tag) ?? 0) > since);
  }
}
