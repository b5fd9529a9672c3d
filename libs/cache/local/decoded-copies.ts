import { refusePromise } from '../../weave/index.js';
import { decode } from '../codec/codec.js';
import { unpack } from '../store/compression.js';
import { CloneableValue } from './cloneable-value.js';

/**
 * Makes an instance of a class from stored data.
 *
 * @example
 * const revive = (data) => Object.assign(new User(), data);
 */
export type Revive = (data: unknown) => unknown;

/** One value. Each caller takes its own copy. */
export interface Copies {
  /** @param revive the caller's own function: callers may want different classes */
  take(revive?: Revive): unknown;
}

/** Makes the callers' copies of a value that this process keeps. */
export function copiesOf(copy: CloneableValue, revive: Revive | undefined): Copies {
  return { take: (own = revive) => revived(copy.take(), own) };
}

/** One value, copied for each caller. No caller can change the copy of another caller. */
export class DecodedCopies implements Copies {
  readonly #text: string;
  readonly #revive: Revive | undefined;
  #first: unknown;
  #taken = false;
  #others: CloneableValue | undefined;

  /** @throws SyntaxError if the text cannot be read; any error of `revive` */
  constructor(text: string, revive?: Revive) {
    this.#text = unpack(text);
    this.#revive = revive;
    this.#first = revived(decode(this.#text), revive);
  }

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
  refusePromise(made, 'revive', 'a function that returns at once, not a promise');
  return made;
}
