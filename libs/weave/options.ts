import { NAME_MAX_BYTES, clip, isLongerThan, isWellFormed, show } from './limits.js';
import { hintFor } from './option-hints.js';
import { SluiceError } from './sluice.error.js';

/** Checks one option: returns the value to use, or throws an error that names `path` and the value. */
export type Check<T> = (value: unknown, path: string) => T;

/** One check per option of an options object. `undefined` reaches the check, which applies its default. */
export type OptionChecks<T extends object> = { readonly [K in keyof T]-?: Check<T[K]> };

/** How many characters of a value a message shows. */
const SHOWN_CHARS = 80;

/** The error for an option that cannot be used: the path, what is wanted, and what was given. */
export function badOption(path: string, wanted: string, got: unknown): SluiceError {
  return new SluiceError('SLUICE_BAD_OPTION', `${path} must be ${wanted}, got ${show(got, SHOWN_CHARS)}`);
}

/**
 * Refuses a promise where a value is needed at once. It is taken care of here: without a handler, its rejection would end the process.
 *
 * @param wanted completes "must be …"
 */
export function refusePromise(value: unknown, path: string, wanted: string): void {
  if (typeof value !== 'object' || value === null) return;
  if (typeof (value as { then?: unknown }).then !== 'function') return;
  (value as PromiseLike<unknown>).then(undefined, () => {});
  throw badOption(path, wanted, value);
}

/**
 * Validates an options object once, at boot: unknown names are refused (a typo must not be silent), every
 * value passes its check. The result is frozen.
 */
export function resolveOptions<T extends object>(path: string, given: unknown, checks: OptionChecks<T>): Readonly<T> {
  const options = (given ?? {}) as Record<string, unknown>;
  if (typeof options !== 'object' || Array.isArray(options)) throw badOption(path, anObjectOf(checks, given), given);
  refusePromise(given, path, 'an options object, not a promise: await it');
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(checks, name)) {
      const known = Object.keys(checks);
      const hint = hintFor(name, known);
      throw new SluiceError(
        'SLUICE_BAD_OPTION',
        `${path}.${clip(name)} is not an option; known options: ${known.join(', ')}${hint && `. ${hint}`}`,
      );
    }
  }
  const resolved: Partial<T> = {};
  for (const name of Object.keys(checks) as (keyof T & string)[]) {
    const value = checks[name](options[name], `${path}.${name}`);
    if (value !== undefined) resolved[name] = value;
  }
  return Object.freeze(resolved) as Readonly<T>;
}

/** What is wanted in place of `given`. Other packages accept a number of milliseconds where Sluice wants an options object. */
function anObjectOf(checks: object, given: unknown): string {
  const time = ['ttlMs', 'delayMs', 'timeoutMs'].find((name) => Object.hasOwn(checks, name));
  return typeof given === 'number' && time ? `an options object, such as { ${time}: 5000 }` : 'an options object';
}

/** The longest time of Node's timers, in milliseconds: 24.8 days. */
const TIMER_MAX_MS = 2_147_483_647;

/** The longest time of an option that no timer depends on, in milliseconds: 100 years. */
export const AGE_MAX_MS = 3_155_760_000_000;

/** A duration in milliseconds: a finite number from `min` (default 1) to `max` (default 2^31 − 1, the limit of Node's timers). */
export function durationMs(
  fallback: number,
  { min = 1, max = TIMER_MAX_MS }: { min?: number; max?: number } = {},
): Check<number> {
  return (value, path) => {
    if (value === undefined) return fallback;
    if (typeof value !== 'number' || !Number.isFinite(value) || value < min || value > max) {
      throw badOption(path, `a number of milliseconds from ${min} to ${max}`, value);
    }
    return Math.ceil(value);
  };
}

/** A whole number ≥ `min` (default 1). */
export function count(fallback: number, { min = 1 }: { min?: number } = {}): Check<number> {
  return (value, path) => {
    if (value === undefined) return fallback;
    if (!Number.isSafeInteger(value) || (value as number) < min)
      throw badOption(path, `a whole number ≥ ${min}`, value);
    return value as number;
  };
}

/** `true` or `false`. */
export function flag(fallback: boolean): Check<boolean> {
  return (value, path) => {
    if (value === undefined) return fallback;
    if (typeof value !== 'boolean') throw badOption(path, 'true or false', value);
    return value;
  };
}

/** A non-empty string, at most as long as a name may be: such names are kept in Redis, in maps and in messages. */
export function text(): Check<string | undefined>;
export function text(fallback: string): Check<string>;
export function text(fallback?: string): Check<string | undefined> {
  return (value, path) => {
    if (value === undefined) return fallback;
    return checkText(value, path);
  };
}

/** The same for a value that must be given. */
export function checkText(value: unknown, path: string): string {
  if (typeof value !== 'string' || value === '') throw badOption(path, 'a non-empty string', value);
  if (isLongerThan(value, NAME_MAX_BYTES)) throw badOption(path, `at most ${NAME_MAX_BYTES} bytes long`, value);
  if (!isWellFormed(value)) throw badOption(path, 'free of lone surrogates', value);
  return value;
}

/** Makes any check accept `undefined` as "not given" and leave the option out. */
export function optional<T>(check: Check<T>): Check<T | undefined> {
  return (value, path) => (value === undefined ? undefined : check(value, path));
}

/** Makes any check refuse `undefined`: there is no default. */
export function required<T>(check: Check<T>): Check<T> {
  return (value, path) => {
    if (value === undefined) throw new SluiceError('SLUICE_BAD_OPTION', `${path} must be given`);
    return check(value, path);
  };
}

/** One of the listed values. */
export function oneOf<const T extends string>(values: readonly T[], fallback: T): Check<T> {
  return (value, path) => {
    if (value === undefined) return fallback;
    if (!values.includes(value as T)) throw badOption(path, `one of ${values.map((v) => `'${v}'`).join(', ')}`, value);
    return value as T;
  };
}

/** A function. */
export function fn<T extends (...args: never[]) => unknown>(): Check<T | undefined> {
  return (value, path) => {
    if (value === undefined) return undefined;
    if (typeof value !== 'function') throw badOption(path, 'a function', value);
    return value as T;
  };
}
