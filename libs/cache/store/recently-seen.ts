import { GenerationalMap } from '../../redis/index.js';
import { detached, type StoredValue } from './stored-value.js';

/** The tags and the length of the value that an entry had a moment ago. */
export interface SeenEntry {
  readonly tags: readonly string[];
  readonly chars: number;
}

/** The most characters of the entries and tags in one generation: a few MB in all. */
const CHARS_MAX = 2_000_000;

/**
 * Entries that had a value a moment ago, with the tags of that value. A plain read of such an entry is worth trying before the
 * question that may end in a lease, because it costs Redis and this process much less. This is only a guess. A wrong guess costs
 * one command.
 */
export class RecentlySeen {
  readonly #entries: GenerationalMap<string, SeenEntry>;

  constructor(size = 10_000) {
    this.#entries = new GenerationalMap({
      size,
      weightMax: CHARS_MAX,
      weigh: (entry, { tags }) => entry.length + charsOf(tags),
    });
  }

  find(entry: string): SeenEntry | undefined {
    return this.#entries.get(entry);
  }

  add(entry: string, { tags, text }: Pick<StoredValue, 'tags' | 'text'>): void {
    const known = this.#entries.get(entry);
    // This path is taken 100,000 times a second, and the value is nearly always unchanged.
    const same = known !== undefined && sameTags(known.tags, tags);
    if (same && known.chars === text.length) return;
    this.#entries.set(entry, { tags: same ? known.tags : detached(tags), chars: text.length });
  }

  delete(entry: string): void {
    this.#entries.delete(entry);
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
