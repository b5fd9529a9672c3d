import { badOption } from '../../weave/index.js';
import { decode } from '../codec/codec.js';
import { unpack } from '../store/compression.js';
import { CloneableValue } from './cloneable-value.js';

/** Makes of data what it was before it was stored: an instance of a class. */
export type Revive = (data: unknown) => unknown;

/** One value, as many times over as there are callers: none can change what another got. */
export class DecodedCopies {
  readonly #text: string;
  readonly #revive: Revive | undefined;
  #first: unknown;
  #taken = false;
  #others: CloneableValue | undefined;

  /** Throws when the text cannot be read, or made into what it was. */
  constructor(text: string, revive?: Revive) {
    this.#text = unpack(text);
    this.#revive = revive;
    this.#first = revived(decode(this.#text), revive);
  }

  /** @param revive of the caller, who gets its own class whatever the first caller asked for */
  take(revive = this.#revive): unknown {
    if (this.#taken || revive !== this.#revive) {
      return revived((this.#others ??= new CloneableValue(this.#text)).take(), revive);
    }
    this.#taken = true;
    return this.#first;
  }
}

function revived(data: unknown, revive: Revive | undefined): unknown {
  if (revive === undefined) return data;
  const made = revive(data);
  if (made instanceof Promise) {
    // Its rejection would end the process.
    made.catch(() => {});
    throw badOption('revive', 'a function that returns at once, not a promise', made);
  }
  return made;
}
