import {
  SluiceError,
  badOption,
  checkText,
  durationMs,
  flag,
  oneOf,
  optional,
  required,
  resolveOptions,
  type Check,
} from '../weave/index.js';
import { LIMIT_MAX } from '../redis/index.js';

/** A limit that depends on the key: the plan of a tenant. Called for each decision; keep it fast, or cached. */
export type LimitOfKey = (key: string) => number | Promise<number>;

/** What happens while Redis does not answer: this process enforces its share of the limit, or admits all, or refuses all. */
export type OnUnavailable = 'local' | 'allow' | 'deny';

/** The length of a calendar window. A week begins on Monday. */
export type CalendarUnit = 'day' | 'week' | 'month';

/** One limit. */
export interface LimitNumbers {
  /** Units per window: a whole number from 1 to 4 294 967 295, or a function of the key. A call costs one unit unless it says more. */
  limit?: number | LimitOfKey;
  /** The length of the window in milliseconds, at most 2 147 483 647 (24.8 days). Either this or `window` must be given. */
  perMs?: number;
  /** A window of the calendar, in `timeZone`. It is a fixed window. */
  window?: CalendarUnit;
  /** The time zone of `window`, such as `'Europe/Berlin'`. Default `'UTC'`. */
  timeZone?: string;
  /**
   * How units are counted. `'sliding'`: never more than `limit` units in any window. `'bucket'`: a token bucket, up to
   * `burst + limit` units in a window. `'fixed'`: windows that touch, up to `2 * limit`. Default `'sliding'`; `'fixed'` with `window`.
   */
  algorithm?: 'sliding' | 'bucket' | 'fixed';
  /**
   * With `algorithm: 'bucket'`: how many units may come at once. Default `limit`. With `mode: 'pace'`: how many calls may start at
   * once. Default 1: starts are `perMs / limit` apart.
   */
  burst?: number;
}

/** What the limits of one definition have in common. */
export interface SharedLimitOptions {
  /**
   * What happens while Redis does not answer; decided within 250 ms. `'local'`: this process enforces `limit` divided by the number
   * of processes, at least 1. In an outage, the fleet may admit these shares on top of the limit. Default: the module's.
   */
  onUnavailable?: OnUnavailable;
  /** Decides and counts, but refuses nothing: for trying a limit out. A refusal is counted and published. Default false. */
  dryRun?: boolean;
}

/** Options of a definition with one limit. */
export interface RateLimitOptions extends LimitNumbers, SharedLimitOptions {
  limit: number | LimitOfKey;
  /** `'pace'`: a leaky bucket. Calls are delayed instead of refused: `take` waits for its turn, `consume` does not wait. */
  mode?: 'pace';
}

/** Options of a definition with several limits, which are charged together or not at all. */
export interface RateLimitsOptions extends SharedLimitOptions {
  /** The limits by name. A name is part of the keys and of the headers. */
  limits: Record<string, LimitNumbers & { limit: number | LimitOfKey }>;
}

/** Options by name: they outrank those in the code. */
export interface NamedLimitOptions extends LimitNumbers, SharedLimitOptions {
  mode?: 'pace';
}

/** The most parts of one definition: more of them are a mistake, and each is a key that a script reads. */
const PARTS_MAX = 16;

const limitCheck: Check<number | LimitOfKey | undefined> = (value, path) => {
  if (value === undefined) return undefined;
  if (typeof value === 'function') return value as LimitOfKey;
  return checkLimit(value, path);
};

/** @throws SluiceError `SLUICE_BAD_OPTION` */
export function checkLimit(value: unknown, path: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= LIMIT_MAX) return value as number;
  throw badOption(path, `a whole number from 1 to ${LIMIT_MAX}`, value);
}

const timeZone: Check<string | undefined> = (value, path) => {
  if (value === undefined) return undefined;
  const zone = checkText(value, path);
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return zone;
  } catch {
    throw badOption(path, "the name of a time zone, such as 'UTC' or 'Europe/Berlin'", value);
  }
};

/** Checks of what one limit is made of. */
export const NUMBERS = {
  limit: limitCheck,
  perMs: optional(durationMs(1)),
  window: optional(oneOf(['day', 'week', 'month'], 'day')),
  timeZone,
  algorithm: optional(oneOf(['sliding', 'bucket', 'fixed'], 'sliding')),
  burst: optional(checkLimit),
};

/** Checks of what the limits of one definition have in common. */
export const SHARED = {
  onUnavailable: optional(oneOf(['local', 'allow', 'deny'], 'local')),
  dryRun: optional(flag(false)),
};

export const mode = optional(oneOf(['pace'], 'pace'));

/** Checks the options of a definition, each for itself. What they make together is checked when configuration has been added. */
export function checkDefinition(
  path: string,
  given: unknown,
): Readonly<RateLimitOptions> | Readonly<RateLimitsOptions> {
  if (typeof given === 'object' && given !== null && 'limits' in given) {
    const options = resolveOptions<RateLimitsOptions>(path, given, { ...SHARED, limits: parts });
    for (const [part, numbers] of Object.entries(options.limits))
      checkNumbers(`${path}.limits.${part}`, numbers, undefined);
    return options;
  }
  const options = resolveOptions<RateLimitOptions>(path, given, { ...NUMBERS, ...SHARED, limit: needed, mode });
  checkNumbers(path, options, options.mode);
  return options;
}

const needed: Check<number | LimitOfKey> = (value, path) => {
  const limit = limitCheck(value, path);
  if (limit === undefined) throw new SluiceError('SLUICE_BAD_OPTION', `${path} must be given`);
  return limit;
};

const parts: Check<RateLimitsOptions['limits']> = (value, path) => {
  const names = typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : [];
  if (names.length === 0 || names.length > PARTS_MAX)
    throw badOption(path, `an object of 1 to ${PARTS_MAX} limits by name`, value);
  const wrong = names.find((name) => !/^[\w-]+$/.test(name));
  if (wrong !== undefined) throw badOption(`${path}: the name of a limit`, 'of letters, digits, - and _', wrong);
  return Object.freeze(
    Object.fromEntries(
      Object.entries(value as object).map(([name, numbers]) => [
        name,
        resolveOptions<RateLimitsOptions['limits'][string]>(`${path}.${name}`, numbers, { ...NUMBERS, limit: needed }),
      ]),
    ),
  );
};

/** Checks what the options of one limit make together. */
export function checkNumbers(path: string, numbers: LimitNumbers, mode: 'pace' | undefined): void {
  const { perMs, window, timeZone, algorithm, burst, limit } = numbers;
  const fail = (what: string): never => {
    throw new SluiceError('SLUICE_BAD_OPTION', `${path}: ${what}`);
  };
  if ((perMs === undefined) === (window === undefined)) fail('give either perMs or window');
  if (window !== undefined && (mode !== undefined || (algorithm !== undefined && algorithm !== 'fixed')))
    fail('a window of the calendar is a fixed window, so it has no other algorithm or mode');
  if (timeZone !== undefined && window === undefined) fail('timeZone is for a window of the calendar');
  if (mode !== undefined && algorithm !== undefined) fail("mode: 'pace' is an algorithm of its own, a leaky bucket");
  if (burst !== undefined && mode === undefined && algorithm !== 'bucket')
    fail("burst is for algorithm: 'bucket' and mode: 'pace'");
  if (mode !== undefined && typeof burst === 'number' && typeof limit === 'number' && burst > limit)
    fail('burst may not be above the limit');
}

/** Options of one call of `consume`, `reserve` or `peek`. */
export interface ConsumeOptions {
  /** How many units the call takes: a whole number. 0 takes none, and is allowed unless the key is blocked. Default 1. */
  cost?: number;
  /** The limit for this key, instead of that of the definition, which must have one limit only. `limit.names` does not outrank it. */
  limit?: number;
}

export interface TakeOptions {
  /** How long the call may wait for its turn, in milliseconds. A turn that comes later is refused at once. Default 10 000. */
  maxWaitMs?: number;
  /** Cancels the call: it rejects with the signal's reason, and its turn is given back if no other call is behind it. */
  signal?: AbortSignal;
  /** How many units the call takes. Default 1. */
  cost?: number;
}

export const TAKE_WAIT_MS = 10_000;

const costCheck: Check<number> = (value, path) => {
  if (value === undefined) return 1;
  if (Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= LIMIT_MAX) return value as number;
  throw badOption(path, `a whole number from 0 to ${LIMIT_MAX}`, value);
};

const NO_OPTIONS: Readonly<{ cost: number; limit?: number }> = Object.freeze({ cost: 1 });

export function resolveConsume(
  call: string,
  given: ConsumeOptions | undefined,
): Readonly<{ cost: number; limit?: number }> {
  if (given === undefined) return NO_OPTIONS;
  return resolveOptions<ConsumeOptions & { cost: number }>(call, given, {
    cost: costCheck,
    limit: optional(checkLimit),
  });
}

export function resolveTake(
  given: TakeOptions | undefined,
): Readonly<Required<Omit<TakeOptions, 'signal'>> & Pick<TakeOptions, 'signal'>> {
  return resolveOptions<Required<Omit<TakeOptions, 'signal'>> & Pick<TakeOptions, 'signal'>>('take', given, {
    maxWaitMs: (value, path) => durationMs(TAKE_WAIT_MS, { min: 0 })(value ?? TAKE_WAIT_MS, path),
    signal: (value, path) => {
      if (value === undefined || value instanceof AbortSignal) return value;
      throw badOption(path, 'an AbortSignal', value);
    },
    cost: (value, path) => checkLimit(value ?? 1, path),
  });
}

/** Checks a number of units that a call names on its own. */
export const checkUnits = (value: unknown, path: string): number => costCheck(value ?? 1, path);

/** Checks how long a key is blocked. */
export const checkBlock = required(durationMs(1));
