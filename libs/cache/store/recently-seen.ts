import { detached, type StoredValue } from './stored-value.js';

/** What an entry's value was a moment ago. */
export interface SeenEntry {
  readonly tags: readonly string[];
  readonly chars: number;
}

/** Characters of the entries and tags in one generation: a few MB in all. */
const CHARS_MAX = 2_000_000;

/**
 * Entries that had a value a moment ago, with the tags that it had, and so are worth a plain look before the question that may
 * end in a lease: it costs Redis and this process much less. A guess, never more: wrong, it costs one command.
 *
 * Two generations of at most `size` entries each; when the young one is full it becomes the old one.
 */
export class RecentlySeen {
  readonly #size: number;
  #young = new Map<string, SeenEntry>();
  #youngChars = 0;
  #old = new Map<string, SeenEntry>();

  constructor(size = 10_000) {
    this.#size = size;
  }

  find(entry: string): SeenEntry | undefined {
    const young = this.#young.get(entry);
    if (young !== undefined) return young;
    const old = this.#old.get(entry);
    if (old !== undefined) this.#enter(entry, old);
    return old;
  }

  add(entry: string, { tags, text }: Pick<StoredValue, 'tags' | 'text'>): void {
    const known = this.#young.get(entry);
    // For the path that is taken 100,000 times a second: nearly always it is as it was.
    const same = known !== undefined && sameTags(known.tags, tags);
    if (same && known.chars === text.length) return;
    this.#enter(entry, { tags: same ? known.tags : detached(tags), chars: text.length });
  }

  delete(entry: string): void {
    this.#young.delete(entry);
    this.#old.delete(entry);
  }

  #enter(entry: string, hot: SeenEntry): void {
    if (this.#young.size >= this.#size || this.#youngChars >= CHARS_MAX) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngChars = 0;
    }
    // Only what is new to it takes room.
    if (!this.#young.has(entry)) this.#youngChars += entry.length + charsOf(hot.tags);
    this.#young.set(entry, hot);
  }
}

function charsOf(tags: readonly string[]): number {
  let chars = 0;
  for (const tag of tags) chars += tag.length;
  return chars;
}

function sameTags(one: readonly string[], other: readonly string[]): boolean {
  return one === other || (one.length === other.length && one.every((tag, i) => tag === other[i]));
}
