import { decode } from './codec.js';
import { unpack } from './compression.js';

/**
 * A value that this process keeps, and gives out as many times over as it is asked for: none of those who get it can change
 * what the next one gets.
 *
 * Read when it is first asked for. What JSON can say is then copied from object to object, a fifth of the cost of reading it
 * anew (docs/adr/0020); anything else (a Date, a Map, bytes) is read anew for everybody.
 */
export class LocalCopy {
  #text: string | undefined;
  #value: unknown;
  #plain = false;

  constructor(text: string) {
    this.#text = text;
  }

  /** Throws when the text cannot be read. */
  take(): unknown {
    if (this.#plain) return copy(this.#value);
    // Once unpacked, it stays so.
    this.#text = unpack(this.#text as string);
    const value = decode(this.#text);
    if (isPlain(value)) {
      this.#plain = true;
      this.#value = value;
      this.#text = undefined;
      return copy(value);
    }
    return value;
  }
}

/** True for what consists of primitives, arrays and ordinary objects alone. What was decoded has no cycles. */
function isPlain(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (Array.isArray(value)) return value.every(isPlain);
  return Reflect.getPrototypeOf(value) === Object.prototype && Object.values(value).every(isPlain);
}

function copy(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const copied = new Array<unknown>(value.length);
    for (let i = 0; i < value.length; i++) copied[i] = copy(value[i]);
    return copied;
  }
  // A spread defines what it copies: a key called __proto__ remains one, and is then found and written to as a property.
  const copied = { ...value } as Record<string, unknown>;
  for (const key in copied) {
    const part = copied[key];
    if (typeof part === 'object' && part !== null) copied[key] = copy(part);
  }
  return copied;
}
