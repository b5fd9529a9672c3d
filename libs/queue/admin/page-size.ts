/** Small entries come by the hundred. A reply with large ones stays far below the limit of a server's buffer for a client. */
export const PAGE_BYTES = 4 * 2 ** 20;
/** The first page, when the size of the entries is not known yet. */
const FIRST = 25;
/** By how much a page may be longer than the one before. */
const GROWTH = 4;

/**
 * How many entries to ask for at a time. Redis counts entries and not bytes: a thousand entries of a megabyte would be one reply
 * of a gigabyte, which Redis has to keep for this client. So a page has as many entries as fit, by the size of those before.
 */
export class PageSize {
  readonly #most: number;
  #count: number;

  constructor(most: number) {
    this.#most = most;
    this.#count = Math.min(most, FIRST);
  }

  get count(): number {
    return this.#count;
  }

  /** A page brought this number of entries, with this number of bytes in all. */
  saw(entries: number, bytes: number): void {
    const fitting = Math.floor((entries * PAGE_BYTES) / Math.max(1, bytes));
    this.#count = Math.max(1, Math.min(this.#most, this.#count * GROWTH, fitting));
  }
}

/** The bytes of an entry's names and values. */
export function bytesOf(fields: readonly string[]): number {
  return fields.reduce((sum, field) => sum + Buffer.byteLength(field), 0);
}
