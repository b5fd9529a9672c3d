import { DEPTH_MAX, clip } from '../../weave/index.js';
import { PayloadTooLargeError, UnserializablePayloadError } from '../queue.errors.js';

/**
 * A payload as JSON text. It throws an error that names what JSON would change or drop.
 *
 * Plain objects, arrays without holes, strings, finite numbers, booleans and null arrive as they were sent (−0 as 0). All other
 * values are refused, because a handler that gets `null` for a NaN, or a string for a Date, fails far from the mistake. Values
 * more than 200 levels deep are refused as well. The check ends as soon as the text is certainly longer than the limit.
 *
 * @throws UnserializablePayloadError `SLUICE_QUEUE_UNSERIALIZABLE`
 * @throws PayloadTooLargeError `SLUICE_QUEUE_PAYLOAD_TOO_LARGE`
 */
export function encodePayload(payload: unknown, root = 'payload', maxBytes = Infinity): string {
  check(payload, { key: root, depth: 0 }, { root, chars: 0, maxChars: maxBytes });
  const text = JSON.stringify(payload);
  // A UTF-16 unit takes at most three bytes in UTF-8. So a short text need not be measured.
  if (text.length * 3 > maxBytes) {
    const bytes = Buffer.byteLength(text);
    if (bytes > maxBytes) throw new PayloadTooLargeError(root, bytes, maxBytes);
  }
  return text;
}

/** The place of the value that is checked now: its key in its container. The path is built only for an error. */
interface Place {
  readonly container?: object;
  readonly key?: string | number;
  readonly parent?: Place;
  readonly depth: number;
}

/** Counts the characters that the JSON text has at least. A character takes at least one byte. */
interface Seen {
  readonly root: string;
  chars: number;
  readonly maxChars: number;
}

function check(value: unknown, place: Place, seen: Seen): void {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return;
    case 'number':
      if (!Number.isFinite(value)) throw refuse(place, `is ${value}, which JSON turns into null`);
      return;
    case 'object':
      if (value === null) return;
      if (place.depth >= DEPTH_MAX) throw tooDeep(value, place);
      if (Array.isArray(value)) checkArray(value as unknown[], place, seen);
      else checkObject(value, place, seen);
      return;
    default:
      throw refuse(place, `is ${typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`}, which JSON has not`);
  }
}

function checkArray(array: readonly unknown[], place: Place, seen: Seen): void {
  const depth = place.depth + 1;
  for (let i = 0; i < array.length; i++) {
    const value = array[i];
    if (value === undefined && !(i in array)) {
      throw refuse({ key: i, parent: place, depth }, 'is a hole, which JSON turns into null');
    }
    // One more character for the comma, or for a bracket.
    count(1 + charsOf(value), seen);
    if (!isLeaf(value)) check(value, { container: array, key: i, parent: place, depth }, seen);
  }
  const extra = Object.keys(array)[array.length];
  if (extra !== undefined) throw refuse({ key: extra, parent: place, depth }, 'is a named property of an array');
}

function checkObject(object: object, place: Place, seen: Seen): void {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null && !isForeignPlain(prototype as object)) {
    throw refuse(place, `is an instance of ${className(object)}, and JSON keeps no classes: ${plainForm(object)}`);
  }
  const depth = place.depth + 1;
  const symbol = Object.getOwnPropertySymbols(object)[0];
  if (symbol !== undefined) throw refuse({ key: symbol.toString(), parent: place, depth }, 'is keyed by a symbol');
  for (const key of Object.keys(object)) {
    const value = (object as Record<string, unknown>)[key];
    // Four more characters: two quotes, the colon, and the comma or a brace.
    count(4 + key.length + charsOf(value), seen);
    if (!isLeaf(value)) check(value, { container: object, key, parent: place, depth }, seen);
  }
}

/** What to publish instead of an instance of a class. */
function plainForm(object: object): string {
  if (object instanceof Date) return 'publish toISOString() or getTime() of it';
  if (object instanceof Map || object instanceof Set) return 'publish a list of its entries, such as [...it]';
  if (object instanceof Error) return 'publish its message';
  return 'publish a plain copy, such as { ...dto }';
}

/** Whether a value needs no further check. Most values are of these types, and no `Place` is created for them. */
function isLeaf(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'boolean' || value === null || Number.isFinite(value);
}

/** How many characters a value has in JSON at least, without the values inside it. */
function charsOf(value: unknown): number {
  return typeof value === 'string' ? value.length + 2 : 1;
}

function count(chars: number, seen: Seen): void {
  seen.chars += chars;
  if (seen.chars > seen.maxChars) throw new PayloadTooLargeError(seen.root, seen.chars, seen.maxChars);
}

/** A plain object of another realm (a vm context, as test runners use) has that realm's `Object.prototype`. */
function isForeignPlain(prototype: object): boolean {
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf');
}

/** The error for a value that lies too deep. A cycle has no end, so it is found here as well: the error then names the cycle. */
function tooDeep(value: object, place: Place): UnserializablePayloadError {
  const places: Place[] = [];
  for (let at = place; at.parent !== undefined; at = at.parent) places.unshift(at);
  const first = new Map<unknown, Place>();
  for (const at of places) {
    const again = first.get(at.container);
    if (again) return cycle(at.parent ?? at, again);
    if (at.parent) first.set(at.container, at.parent);
  }
  const again = first.get(value);
  if (again) return cycle(place, again);
  return refuse(place, `lies more than ${DEPTH_MAX} levels deep`);
}

function cycle(place: Place, first: Place): UnserializablePayloadError {
  return refuse(place, `is ${clip(pathOf(first))} again, and JSON has no cycles`);
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
