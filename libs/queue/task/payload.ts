import { PayloadTooLargeError, UnserializablePayloadError } from '../queue.errors.js';

/**
 * A payload as JSON text, or an error naming what JSON would change or drop.
 *
 * Plain objects, dense arrays, strings, finite numbers, booleans and null come back as they went (−0 as 0). All else
 * is refused: a handler that gets `null` for a NaN or a string for a Date fails far from the mistake.
 *
 * @throws UnserializablePayloadError `SLUICE_QUEUE_UNSERIALIZABLE`
 * @throws PayloadTooLargeError `SLUICE_QUEUE_PAYLOAD_TOO_LARGE`
 */
export function encodePayload(payload: unknown, root = 'payload', maxBytes = Infinity): string {
  check(payload, { key: root });
  const text = JSON.stringify(payload);
  // No character takes more than three bytes for each of its UTF-16 units: what is short need not be measured.
  if (text.length * 3 > maxBytes) {
    const bytes = Buffer.byteLength(text);
    if (bytes > maxBytes) throw new PayloadTooLargeError(root, bytes, maxBytes);
  }
  return text;
}

/** Where the walk stands: under which key of which container. A path is spelt out only when it is needed. */
interface Place {
  readonly container?: object;
  readonly key?: string | number;
  readonly parent?: Place;
}

function check(value: unknown, place: Place): void {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return;
    case 'number':
      if (!Number.isFinite(value)) throw refuse(place, `is ${value}, which JSON turns into null`);
      return;
    case 'object':
      if (value === null) return;
      if (Array.isArray(value)) checkArray(value as unknown[], place);
      else checkObject(value, place);
      return;
    default:
      throw refuse(place, `is ${typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`}, which JSON has not`);
  }
}

function checkArray(array: readonly unknown[], place: Place): void {
  checkCycle(array, place);
  for (let i = 0; i < array.length; i++) {
    if (!(i in array)) throw refuse({ key: i, parent: place }, 'is a hole, which JSON turns into null');
    if (isLeaf(array[i])) continue;
    check(array[i], { container: array, key: i, parent: place });
  }
  const extra = Object.keys(array)[array.length];
  if (extra !== undefined) throw refuse({ key: extra, parent: place }, 'is a named property of an array');
}

function checkObject(object: object, place: Place): void {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null && !isForeignPlain(prototype as object)) {
    throw refuse(place, `is an instance of ${className(object)}, and JSON keeps no classes`);
  }
  checkCycle(object, place);
  const symbol = Object.getOwnPropertySymbols(object)[0];
  if (symbol !== undefined) throw refuse({ key: symbol.toString(), parent: place }, 'is keyed by a symbol');
  for (const key of Object.keys(object)) {
    const value = (object as Record<string, unknown>)[key];
    if (isLeaf(value)) continue;
    check(value, { container: object, key, parent: place });
  }
}

/** What most values are; they need no place. */
function isLeaf(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'boolean' || value === null || Number.isFinite(value);
}

/** A plain object of another realm (a vm context, as test runners use) has that realm's `Object.prototype`. */
function isForeignPlain(prototype: object): boolean {
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf');
}

function checkCycle(value: object, place: Place): void {
  for (let at = place; at.parent !== undefined; at = at.parent) {
    if (at.container === value) throw refuse(place, `is ${pathOf(at.parent)} again, and JSON has no cycles`);
  }
}

function className(object: object): string {
  const { constructor } = object as { constructor?: unknown };
  return typeof constructor === 'function' && constructor.name !== '' ? constructor.name : 'a class';
}

function refuse(place: Place, what: string): UnserializablePayloadError {
  return new UnserializablePayloadError(pathOf(place), what);
}

function pathOf({ key, parent }: Place): string {
  if (parent === undefined) return String(key);
  if (typeof key === 'number') return `${pathOf(parent)}[${key}]`;
  const name = key ?? '';
  return pathOf(parent) + (/^[A-Za-z_$][\w$]*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`);
}
