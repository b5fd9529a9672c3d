import { decode } from '../codec/codec.js';
import { unpack } from '../store/compression.js';

/**
 * A value that this process keeps, and gives out as many times over as it is asked for: none of those who get it can change
 * what the next one gets.
 *
 * Read when it is first asked for. What JSON can say is then copied from object to object, a seventh of the cost of reading it
 * anew (see ADR 9); anything else (a Date, a Map, bytes) is read anew for everybody.
 */
export class CloneableValue {
  #text: string | undefined;
  #value: unknown;
  #plain = false;
  #pattern: Pattern | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  /** Throws when the text cannot be read. */
  take(): unknown {
    if (this.#pattern) return copy(this.#pattern);
    if (this.#plain) return this.#value;
    // Once unpacked, it stays so.
    this.#text = unpack(this.#text as string);
    const value = decode(this.#text);
    if (isPlain(value)) {
      this.#plain = true;
      this.#pattern = patternOf(value, '');
      this.#value = this.#pattern ? undefined : value;
      this.#text = undefined;
      return this.#pattern ? copy(this.#pattern) : value;
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

/** An object or an array that nobody else has, and where in it others are: what a copy has to look at. */
interface Pattern {
  readonly key: string | number;
  readonly value: object;
  readonly array: boolean;
  readonly parts: readonly Pattern[];
}

/** The pattern of a plain value; undefined for a primitive, which is shared. */
function patternOf(value: unknown, key: string | number): Pattern | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const array = Array.isArray(value);
  const parts = Object.entries(value as Record<string, unknown>).flatMap(
    ([name, part]) => patternOf(part, array ? Number(name) : name) ?? [],
  );
  return { key, value, array, parts };
}

/**
 * A copy, for the path that is taken a million times a second. A spread and a slice copy shape and slots as they are; only what
 * is known to be an object is then looked at. Leaves are copied in place: it is the calls that cost.
 */
function copy({ value, array, parts }: Pattern): unknown {
  // A spread defines what it copies: a key called __proto__ remains one, and is then found and written to as a property.
  const copied = (array ? (value as unknown[]).slice() : { ...value }) as Record<string | number, unknown>;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as Pattern;
    const leaf = part.parts.length === 0;
    copied[part.key] = !leaf ? copy(part) : part.array ? (part.value as unknown[]).slice() : { ...part.value };
  }
  return copied;
}
