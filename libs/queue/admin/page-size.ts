/** Small entries come by the hundred, and a reply with large ones is far below what servers buffer for a client. */
export const PAGE_BYTES = 4 * 2 ** 20;
/** As long as nothing is known of their size. */
const FIRST = 25;
/** By how much a page may be longer than the one before. */
const GROWTH = 4;

/**
 * How many entries to ask for at a time. Redis counts entries and not bytes: a thousand of a megabyte each would be one
 * reply of a gigabyte, which it has to hold for us. So a page has as many as fit by the size of those before.
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

  /** So many came, with so many bytes. */
  saw(entries: number, bytes: number): void {
    const fitting = Math.floor((entries * PAGE_BYTES) / Math.max(1, bytes));
    this.#count = Math.max(1, Math.min(this.#most, this.#count * GROWTH, fitting));
  }
}

/** Of the names and values of an entry. */
export function bytesOf(fields: readonly string[]): number {
  return fields.reduce((sum, field) => sum + Buffer.byteLength(field), 0);
}
