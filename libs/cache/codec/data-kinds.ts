import { types } from 'node:util';

/** What kind of data an object is, as far as it can be written down without loss. */
export type Kind = 'object' | 'array' | 'date' | 'map' | 'set' | 'bytes';

/** How many prototypes lie between an instance of the kind and `null`. A subclass has more: it would lose its class. */
const DEPTH: Record<Kind, number> = { object: 1, array: 2, date: 2, map: 2, set: 2, bytes: 3 };

/**
 * The kind of an object, or `undefined` for what is not data: instances of classes, errors, promises, proxies of hosts.
 *
 * Told by internal slots and the length of the prototype chain, not by `instanceof`: an object from another realm
 * (a vm context, a worker's message) is data as well.
 */
export function kindOf(value: object): Kind | undefined {
  // The usual, told by one look.
  if (Reflect.getPrototypeOf(value) === Object.prototype) return 'object';
  const kind = slotOf(value);
  const depth = depthOf(value);
  if (depth === DEPTH[kind] || Buffer.isBuffer(value)) return kind;
  return kind === 'object' && depth === 0 ? kind : undefined;
}

/** True for an instance of a class, or what else has nothing but properties: no error, promise, or subclass of Map. */
export function isRecord(value: object): boolean {
  return Object.prototype.toString.call(value) === '[object Object]';
}

/** Names what an object has beyond the data of its kind, and would lose; `undefined` if nothing. */
export function extraOf(value: object, kind: Kind): string | undefined {
  if (kind === 'object') {
    const symbols = Object.getOwnPropertySymbols(value);
    if (symbols.length === 0) return undefined;
    const seen = symbols.some((symbol) => Object.prototype.propertyIsEnumerable.call(value, symbol));
    return seen ? 'an object with a symbol for a key' : undefined;
  }
  // A hole counts as a missing key, a property such as `index` of a RegExp's match as one too many.
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

/** Names a value that is no data, for messages: `a function`, `an instance of Socket`. */
export function describe(value: unknown): string {
  if (typeof value !== 'object' || value === null) return typeof value === 'object' ? 'null' : `a ${typeof value}`;
  const { constructor } = value as { constructor?: unknown };
  return typeof constructor === 'function' && constructor.name !== ''
    ? `an instance of ${constructor.name}`
    : 'an instance of a class';
}

/** The path of a part, as one would write it: `.user.tags[3]`. */
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
