import { decode } from '../codec/codec.js';
import { unpack } from '../store/compression.js';

/**
 * A value that this process keeps and copies for each caller. No caller can change the copy of another caller.
 *
 * The text is decoded at the first call. Plain JSON data is then copied from object to object, at a seventh of the cost of
 * decoding (see ADR 9). Any other value (a Date, a Map, bytes) is decoded again for each caller.
 */
export class CloneableValue {
  #text: string | undefined;
  #value: unknown;
  #plain = false;
  #pattern: Pattern | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  /** @throws SyntaxError if the text cannot be read */
  take(): unknown {
    if (this.#pattern) return copy(this.#pattern);
    if (this.#plain) return this.#value;
    // Unpacked once only.
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

/** True if a value consists of primitives, arrays and ordinary objects alone. A decoded value has no cycles. */
function isPlain(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (Array.isArray(value)) return value.every(isPlain);
  return Reflect.getPrototypeOf(value) === Object.prototype && Object.values(value).every(isPlain);
}

/** An object or an array that no caller has, and the positions of the objects in it. A copy visits only these. */
interface Pattern {
  readonly key: string | number;
  readonly value: object;
  readonly array: boolean;
  readonly parts: readonly Pattern[];
}

/** The pattern of a plain value. Undefined for a primitive, which needs no copy. */
function patternOf(value: unknown, key: string | number): Pattern | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const array = Array.isArray(value);
  const parts = Object.entries(value as Record<string, unknown>).flatMap(
    ([name, part]) => patternOf(part, array ? Number(name) : name) ?? [],
  );
  return { key, value, array, parts };
}

/**
 * Copies a value. This runs a million times a second, so it is written for speed: a spread or a slice copies shape and slots,
 * and only the parts that are objects are visited. Leaves are copied inline, because function calls cost most.
 */
function copy({ value, array, parts }: Pattern): unknown {
  // A spread defines properties. So a key called __proto__ stays an ordinary property.
  const copied = (array ? (value as unknown[]).slice() : { ...value }) as Record<string | number, unknown>;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as Pattern;
    const leaf = part.parts.length === 0;
    copied[part.key] = !leaf ? copy(part) : part.array ? (part.value as unknown[]).slice() : { ...part.value };
  }
  return copied;
}
