import { types } from 'node:util';

/** The kinds of objects that can be written as text without loss. */
export type Kind = 'object' | 'array' | 'date' | 'map' | 'set' | 'bytes';

/** The number of prototypes between an instance of the kind and `null`. A subclass has more, and would lose its class. */
const DEPTH: Record<Kind, number> = { object: 1, array: 2, date: 2, map: 2, set: 2, bytes: 3 };

/**
 * The kind of an object. `undefined` if the object is not data: an instance of a class, an error, a promise, a host's proxy.
 *
 * Decided by internal slots and the length of the prototype chain, not by `instanceof`. So an object from another realm
 * (a vm context, a worker's message) is data as well.
 */
export function kindOf(value: object): Kind | undefined {
  // The most frequent case needs one comparison.
  if (Reflect.getPrototypeOf(value) === Object.prototype) return 'object';
  const kind = slotOf(value);
  const depth = depthOf(value);
  if (depth === DEPTH[kind] || Buffer.isBuffer(value)) return kind;
  return kind === 'object' && depth === 0 ? kind : undefined;
}

/** True for objects that have properties alone, as instances of classes do. False for errors, promises, subclasses of Map. */
export function isRecord(value: object): boolean {
  return Object.prototype.toString.call(value) === '[object Object]';
}

/** Describes an object that has more than the data of its kind: that part would be lost. `undefined` if it has nothing more. */
export function extraOf(value: object, kind: Kind): string | undefined {
  if (kind === 'object') {
    const symbols = Object.getOwnPropertySymbols(value);
    if (symbols.length === 0) return undefined;
    const seen = symbols.some((symbol) => Object.prototype.propertyIsEnumerable.call(value, symbol));
    return seen ? 'an object with a symbol for a key' : undefined;
  }
  // A hole is a missing key. A property, such as `index` of a RegExp's match, is one key too many.
  if (kind === 'array') {
    const keys = Object.keys(value);
    // Indexes come first: if the last key is the last index, there are no others.
    const { length } = value as unknown[];
    const regular = keys.length === length && keys.at(-1) === (length === 0 ? undefined : String(length - 1));
    return regular ? undefined : 'an array with holes or with properties of its own';
  }
  if (kind === 'bytes' || Object.keys(value).length === 0) return undefined;
  return `${describe(value)} with properties of its own`;
}

/** Describes a value that is not data, for messages: `a function`, `an instance of Socket`. */
export function describe(value: unknown): string {
  if (typeof value !== 'object' || value === null) return typeof value === 'object' ? 'null' : `a ${typeof value}`;
  const { constructor } = value as { constructor?: unknown };
  return typeof constructor === 'function' && constructor.name !== ''
    ? `an instance of ${constructor.name}`
    : 'an instance of a class';
}

/** The path of a part as JavaScript writes it: `.user.tags[3]`. */
export function pathOf(steps: readonly (string | number)[]): string {
  return steps
    .map((step) => {
      if (typeof step === 'number') return `[${step}]`;
      return /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
    })
    .join('');
}

function slotOf(value: object): Kind {
  if (Array.isArray(value)) return 'array';
  if (types.isDate(value)) return 'date';
  if (types.isMap(value)) return 'map';
  if (types.isSet(value)) return 'set';
  return types.isTypedArray(value) ? 'bytes' : 'object';
}

function depthOf(value: object): number {
  let depth = 0;
  for (let at = Reflect.getPrototypeOf(value); at !== null; at = Reflect.getPrototypeOf(at)) depth++;
  return depth;
}
