import { types } from 'node:util';
import { clip, show } from '../../weave/index.js';

const ERROR_BYTES = 1_024;
const STACK_BYTES = 4_096;
/** How many causes of causes are named. */
const CAUSES = 5;
/** How many errors of an `AggregateError` are named. */
const AGGREGATED = 3;
/** Properties of a thrown object that is no error. The text shows those whose value is a string or a number. */
const FACTS = ['name', 'message', 'code', 'status', 'statusCode'];
/** How many keys of such an object are named. */
const KEYS = 20;
const UNREADABLE = 'something that cannot be shown was thrown';

/**
 * Describes a thrown value as text: at most 1 KB for the error with its causes, and at most 4 KB for its stack. Never throws.
 * For an object that is no error, the text has a few of its properties and the names of its keys, but no other values.
 *
 * The text includes the causes, because the error alone may say too little. If a connection is refused, the error of `fetch` says
 * only `fetch failed`, and its cause says `ECONNREFUSED`.
 */
export function describeError(thrown: unknown): { error: Buffer; stack: Buffer } {
  const error = attempt(() => [named(thrown), ...causes(thrown)].join('; [cause] '), UNREADABLE);
  const stack = attempt(() => (isError(thrown) && typeof thrown.stack === 'string' ? thrown.stack : ''), '');
  return { error: cut(error, ERROR_BYTES), stack: cut(stack, STACK_BYTES) };
}

function named(thrown: unknown): string {
  if (typeof thrown === 'string') return thrown;
  if (!isError(thrown)) return typeof thrown === 'object' && thrown !== null ? factsOf(thrown) : show(thrown);
  const { name, message } = thrown;
  const code = attempt(() => codeOf(thrown), '');
  const parts = attempt(() => aggregated(thrown), '');
  const text = `${name}: ${message}`;
  return `${text}${code !== '' && !text.includes(code) ? ` (${code})` : ''}${parts}`;
}

/**
 * Describes a thrown object that is no error: a few of its properties, and the names of its keys. HTTP clients throw objects that
 * contain headers and bodies, and this text is stored in Redis and in logs. So it has no other values.
 */
function factsOf(thrown: object): string {
  if (types.isProxy(thrown)) return UNREADABLE;
  if (Array.isArray(thrown)) return `an array of ${thrown.length}`;
  const facts = FACTS.flatMap((fact) => {
    const value = (thrown as Record<string, unknown>)[fact];
    return typeof value === 'string' || typeof value === 'number' ? [`${fact}: ${show(value)}`] : [];
  });
  const keys = Object.keys(thrown);
  const named = keys.slice(0, KEYS).map((key) => clip(key, 50));
  if (keys.length > KEYS) named.push(`${keys.length - KEYS} more`);
  return `an object that is no error (${[...facts, `keys: ${named.join(', ')}`].join('; ')})`;
}

/** Whether a value is an error. Errors of other realms (vm contexts in test runners) are no instances of this realm's class. */
function isError(thrown: unknown): thrown is Error {
  return types.isNativeError(thrown) || thrown instanceof Error;
}

function codeOf(error: Error): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : '';
}

function aggregated(error: Error): string {
  const { errors } = error as { errors?: unknown };
  if (!Array.isArray(errors)) return '';
  const shown = errors.slice(0, AGGREGATED).map((each: unknown) => attempt(() => named(each), UNREADABLE));
  if (errors.length > AGGREGATED) shown.push(`${errors.length - AGGREGATED} more`);
  return ` [${shown.join('; ')}]`;
}

function causes(thrown: unknown): string[] {
  const found: string[] = [];
  let at = thrown;
  while (isError(at) && found.length < CAUSES) {
    const { cause } = at;
    if (cause === undefined || cause === null) break;
    found.push(attempt(() => named(cause), UNREADABLE));
    at = cause;
  }
  return found;
}

/** Reads text from an error. Errors may have getters that throw. */
function attempt(read: () => string, otherwise: string): string {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

/** Cuts a text to at most `bytes` bytes of UTF-8, after a whole character. */
function cut(text: string, bytes: number): Buffer {
  const whole = Buffer.from(text.slice(0, bytes));
  if (whole.length <= bytes) return whole;
  let end = bytes;
  // Bytes 10xxxxxx continue a character.
  while (((whole[end] ?? 0) & 0xc0) === 0x80) end--;
  return whole.subarray(0, end);
}
