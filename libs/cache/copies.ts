import { decode } from './codec.js';

/** One value, as many times over as there are callers: none can change what another got. */
export class Copies {
  readonly #text: string;
  #first: unknown;
  #taken = false;

  /** Throws when the text cannot be read. */
  constructor(text: string) {
    this.#text = text;
    this.#first = decode(text);
  }

  take(): unknown {
    if (this.#taken) return decode(this.#text);
    this.#taken = true;
    return this.#first;
  }
}
