import { badOption } from '../../weave/index.js';
import { decode } from '../codec/codec.js';
import { unpack } from '../store/compression.js';
import { CloneableValue } from './cloneable-value.js';

/** Makes of data what it was before it was stored: an instance of a class. */
export type Revive = (data: unknown) => unknown;

/** One value, of which each caller takes a copy of its own. */
export interface Copies {
  /** @param revive of the caller, who gets its own class whatever the first caller asked for */
  take(revive?: Revive): unknown;
}

/** A copy that this process keeps, for callers of a read. */
export function copiesOf(copy: CloneableValue, revive: Revive | undefined): Copies {
  return { take: (own = revive) => revived(copy.take(), own) };
}

/** One value, as many times over as there are callers: none can change what another got. */
export class DecodedCopies implements Copies {
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
  if (isThenable(made)) {
    // Its rejection would end the process.
    made.then(undefined, () => {});
    throw badOption('revive', 'a function that returns at once, not a promise', made);
  }
  return made;
}

/** A promise of any library: who gets it would await it. */
function isThenable(made: unknown): made is { then(resolved: undefined, rejected: () => void): unknown } {
  return typeof made === 'object' && made !== null && typeof (made as { then?: unknown }).then === 'function';
}
