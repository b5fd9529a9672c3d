import { DEPTH_MAX, SluiceError, clip, isDeeperThan, isSluiceError, show } from '../../weave/index.js';
import { unpack } from '../store/compression.js';
import { describe, extraOf, isRecord, kindOf, pathOf } from './data-kinds.js';

/**
 * Values as text. A value that JSON can express is stored as JSON, byte for byte, and any client can read it. Any other value
 * is stored as {@link TAGGED} and JSON in which `{"~x": …}` stands for the parts that JSON cannot express. No JSON text begins
 * with that mark.
 *
 *   ~u undefined   ~n NaN, ±Infinity, -0   ~i bigint   ~d Date   ~m Map   ~s Set   ~b Buffer   ~a typed array
 *   ~z object without a prototype          ~o an object of the user's whose only key begins with a tilde
 *
 * The format is frozen. A change needs another mark, so that old and new processes treat each other's values as a miss.
 */
const TAGGED = '~1';

/**
 * Writes a value down so that {@link decode} gives back its equal.
 *
 * @param instances writes instances of classes as plain objects of their properties; the reader's `revive` makes instances
 *   of them again
 * @throws SluiceError `SLUICE_CACHE_UNSERIALIZABLE` naming the path of the part that would be lost
 */
export function encode(value: unknown, { instances = false } = {}): string {
  const said = tag(value, [], { above: new Set(), instances });
  return said === value ? JSON.stringify(value) : TAGGED + JSON.stringify(said);
}

/**
 * As {@link encode}, for the value of one key. Its error also names the key and the source of the value, which is the decorated
 * method where the user names no other.
 */
export function encodeOf(key: string, value: unknown, { revive, source }: { revive: unknown; source: string }): string {
  try {
    return encode(value, { instances: revive !== undefined });
  } catch (error) {
    if (!isSluiceError(error, 'SLUICE_CACHE_UNSERIALIZABLE')) throw error;
    const of = source === '' ? '' : ` of ${source}`;
    throw new SluiceError('SLUICE_CACHE_UNSERIALIZABLE', `cache key ${show(key)}${of}: ${error.message}`);
  }
}

/**
 * Reads a value back. Each call makes a new value.
 *
 * Any client that may write to Redis may have written the text. So the body of each mark is checked before it is used.
 *
 * @throws SyntaxError if anything is wrong with the text
 */
export function decode(stored: string): unknown {
  const text = unpack(stored);
  if (!text.startsWith('~')) return parse(text, DEPTH_MAX);
  if (!text.startsWith(TAGGED)) throw new SyntaxError('written by another version');
  return untag(parse(text.slice(TAGGED.length), TAGGED_DEPTH_MAX));
}

/** A level of a value is up to three levels of its JSON: a Map is a list of pairs under a mark. The last may hold an `undefined`. */
const TAGGED_DEPTH_MAX = 3 * DEPTH_MAX + 1;

/**
 * Looks at the depth before it parses. A text of 400 KB can be 200,000 levels deep: to parse it, to copy it and to free it
 * would block the process.
 */
function parse(json: string, levels: number): unknown {
  if (isDeeperThan(json, levels)) throw new SyntaxError('too deep');
  return JSON.parse(json);
}

type Steps = (string | number)[];

interface Walk {
  /** The objects that contain the present value. Tells a cycle. */
  readonly above: Set<object>;
  readonly instances: boolean;
}

/** The value itself if JSON can express it, else its mark. */
function tag(value: unknown, path: Steps, walk: Walk): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : { '~n': Object.is(value, -0) ? '-0' : `${value}` };
    case 'undefined':
      return { '~u': 0 };
    case 'bigint':
      return { '~i': digitsOf(value, path) };
    case 'object':
      return value === null ? null : tagObject(value, path, walk);
    default:
      throw lossy(path, describe(value));
  }
}

function digitsOf(value: bigint, path: Steps): string {
  // Checked before the digits are written, because writing many digits takes long.
  if (value >= BIGINT_END || value <= -BIGINT_END) throw lossy(path, `a bigint of more than ${BIGINT_DIGITS} digits`);
  return value.toString();
}

function tagObject(value: object, path: Steps, walk: Walk): unknown {
  if (path.length >= DEPTH_MAX) throw tooDeep(path);
  if (walk.above.has(value)) throw lossy(path, 'a reference to something that contains it');
  walk.above.add(value);
  const said = tagKind(value, path, walk);
  walk.above.delete(value);
  return said;
}

function tagKind(value: object, path: Steps, walk: Walk): unknown {
  const data = kindOf(value);
  const kind = data ?? (walk.instances && isRecord(value) ? 'object' : undefined);
  const extra = kind === undefined ? describe(value) : extraOf(value, kind);
  if (extra !== undefined) {
    throw lossy(
      path,
      extra,
      kind === undefined && isRecord(value) ? ', or make the instance again with the revive option' : '',
    );
  }
  if (kind === 'array') return tagArray(value as unknown[], path, walk);
  if (kind === 'object') {
    // An instance is copied, because JSON would call its toJSON.
    const record = data === undefined ? { ...value } : value;
    return tagRecord(record as Record<string, unknown>, path, walk);
  }
  if (kind === 'bytes') {
    const { buffer, byteOffset, byteLength, [Symbol.toStringTag]: type } = value as Uint8Array;
    const base64 = Buffer.from(buffer, byteOffset, byteLength).toString('base64');
    if (Buffer.isBuffer(value)) return { '~b': base64 };
    if (!TYPED_ARRAYS.has(type)) throw lossy(path, describe(value));
    return { '~a': [type, base64] };
  }
  if (kind === 'date') {
    const ms = (value as Date).getTime();
    return { '~d': Number.isNaN(ms) ? null : ms };
  }
  const child = (part: unknown, step: number): unknown => tagPart(part, step, path, walk);
  if (kind === 'set') return { '~s': Array.from(value as Set<unknown>, child) };
  return { '~m': Array.from(value as Map<unknown, unknown>, ([key, part], i) => [child(key, i), child(part, i)]) };
}

function tagPart(part: unknown, step: string | number, path: Steps, walk: Walk): unknown {
  path.push(step);
  const said = tag(part, path, walk);
  path.pop();
  return said;
}

function tagArray(value: unknown[], path: Steps, walk: Walk): unknown {
  let said: unknown[] | undefined;
  for (let i = 0; i < value.length; i++) {
    const part = tagPart(value[i], i, path, walk);
    if (said === undefined && part !== value[i]) said = value.slice(0, i);
    said?.push(part);
  }
  return said ?? value;
}

function tagRecord(value: Record<string, unknown>, path: Steps, walk: Walk): unknown {
  const keys = Object.keys(value);
  let said: Record<string, unknown> | undefined;
  for (const key of keys) {
    const part = tagPart(value[key], key, path, walk);
    if (said === undefined && part !== value[key]) said = { __proto__: null, ...value };
    if (said) said[key] = part;
  }
  if (Reflect.getPrototypeOf(value) === null) return { '~z': said ?? value };
  return keys.length === 1 && keys[0]?.startsWith('~') ? { '~o': said ?? value } : (said ?? value);
}

function untag(said: unknown): unknown {
  if (typeof said !== 'object' || said === null) return said;
  if (Array.isArray(said)) return untagParts(said);
  const keys = Object.keys(said);
  const [mark] = keys;
  if (keys.length !== 1 || !mark?.startsWith('~')) return untagParts(said);
  return untagMarked(mark, (said as Record<string, unknown>)[mark]);
}

/** In place: what JSON.parse made is ours. */
function untagParts<T extends object>(said: T): T {
  const parts = said as Record<string, unknown>;
  for (const key of Object.keys(said)) {
    const part = parts[key];
    if (typeof part === 'object') parts[key] = untag(part);
  }
  return said;
}

const TYPED_ARRAYS = new Map(
  [
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    BigUint64Array,
  ].map((type) => [type.name, type]),
);

function untagMarked(mark: string, body: unknown): unknown {
  switch (mark) {
    case '~u':
      return undefined;
    case '~n':
      if (typeof body !== 'string' || !ODD_NUMBERS.has(body)) throw broken(mark, body);
      return Number(body);
    case '~i':
      if (typeof body !== 'string' || body.length > BIGINT_DIGITS + 1 || !BIGINT_TEXT.test(body))
        throw broken(mark, body);
      return BigInt(body);
    case '~d':
      if (body !== null && typeof body !== 'number') throw broken(mark, body);
      return new Date(body ?? NaN);
    case '~m':
      return new Map(untagParts(listOf(mark, body)).map((pair) => pairOf(mark, pair)));
    case '~s':
      return new Set(untagParts(listOf(mark, body)));
    case '~b':
      return bytesOf(mark, body);
    case '~a': {
      const [name, base64] = listOf(mark, body);
      const type = TYPED_ARRAYS.get(name as string);
      if (!type) throw broken(mark, name);
      const bytes = bytesOf(mark, base64);
      if (bytes.length % type.BYTES_PER_ELEMENT !== 0) throw broken(mark, base64);
      // Copied out of Node's pool: whole elements need an aligned start, and `.buffer` nothing else in it.
      return new type(new Uint8Array(bytes).buffer);
    }
    case '~z':
      return Object.assign(Object.create(null) as object, untagParts(recordOf(mark, body)));
    case '~o':
      return untagParts(recordOf(mark, body));
    default:
      throw new SyntaxError(`unknown mark ${show(mark)}`);
  }
}

const ODD_NUMBERS: ReadonlySet<string> = new Set(['NaN', 'Infinity', '-Infinity', '-0']);

/** The time to read digits grows with the square of their number. Longer bigints are not written either. */
const BIGINT_DIGITS = 10_000;
const BIGINT_END = 10n ** BigInt(BIGINT_DIGITS);
const BIGINT_TEXT = /^-?\d+$/;

/** Refuses objects: from one with a `length`, Node would make a Buffer of that length. */
function bytesOf(mark: string, body: unknown): Buffer {
  if (typeof body !== 'string') throw broken(mark, body);
  return Buffer.from(body, 'base64');
}

function listOf(mark: string, body: unknown): unknown[] {
  if (!Array.isArray(body)) throw broken(mark, body);
  return body as unknown[];
}

function pairOf(mark: string, pair: unknown): [unknown, unknown] {
  if (!Array.isArray(pair) || pair.length !== 2) throw broken(mark, pair);
  return pair as [unknown, unknown];
}

function recordOf(mark: string, body: unknown): object {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw broken(mark, body);
  return body;
}

function broken(mark: string, body: unknown): SyntaxError {
  return new SyntaxError(`not the body of a ${mark}: ${show(body)}`);
}

function tooDeep(path: Steps): SluiceError {
  return new SluiceError(
    'SLUICE_CACHE_UNSERIALIZABLE',
    `the value's ${clip(pathOf(path))} lies more than ${DEPTH_MAX} levels deep`,
  );
}

function lossy(path: Steps, what: string, way = ''): SluiceError {
  const where = path.length === 0 ? 'the value' : `the value's ${clip(pathOf(path))}`;
  return new SluiceError(
    'SLUICE_CACHE_UNSERIALIZABLE',
    `${where} is ${what}, which would not come back as it was: cache plain data (also Date, Map, Set, bigint, Buffer, typed arrays)${way}`,
  );
}
