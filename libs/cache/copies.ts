import { decode } from './codec.js';

/** One value, as many times over as there are callers: none can change what another got. */
export class Copies {
  readonly #text: string;
  #first: { value: unknown } | undefined;

  /** Throws when the text cannot be read. */
  constructor(text: string) {
    this.#text = text;
    this.#first = { value: decode(text) };
  }

  take(): unknown {
    const first = this.#first;
    this.#first = undefined;
    return first ? first.value : decode(this.#text);
  }
}
