import { AGE_MAX_MS, badOption, refusePromise, type Check } from '../../weave/index.js';
import { delay } from './delay.js';

/**
 * How long a task waits after run number `attempt` (from 1) has failed, in milliseconds.
 *
 * - A number: every wait is that long.
 * - A list: after the first failure the first number, after the second failure the second one, and so on. The last number is
 *   used for all later failures.
 * - `exponential`: a random time from 0 to `baseMs` · 2^(attempt − 1), at most `maxMs`. Every time in that range is equally likely
 *   (full jitter), so tasks that failed together do not run again together.
 * - A function: the number that it returns. If the function throws, or does not return a number of at least 0, the default is
 *   used and the error is logged.
 */
export type Backoff = number | readonly number[] | ExponentialBackoff | ((attempt: number, error: unknown) => number);

export interface ExponentialBackoff {
  type: 'exponential';
  /** Default 1 000. */
  baseMs?: number;
  /** The longest wait. Default 60 times `baseMs`: 60 000 where `baseMs` is left out. At least `baseMs`. */
  maxMs?: number;
}

/** {@link Backoff}, checked. */
export type ResolvedBackoff = (attempt: number, error: unknown, random: () => number) => number;

const BASE_MS = 1_000;
const MAX_MS = 60_000;
/** How many times `baseMs` the longest wait is by default. */
const MAX_TIMES_BASE = MAX_MS / BASE_MS;

/** A random wait. Its upper limit doubles with each attempt. */
export function exponentially(attempt: number, baseMs: number, maxMs: number, random: () => number): number {
  return random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 40));
}

/** The default: a wait of up to 1 s after the first failure, and of up to 60 s after many failures. */
export const defaultBackoff: ResolvedBackoff = (attempt, _error, random) =>
  exponentially(attempt, BASE_MS, MAX_MS, random);

/** Checks the option. */
export const backoff: Check<Backoff | undefined> = (value, path) => {
  if (value === undefined || typeof value === 'function') return value as Backoff | undefined;
  if (typeof value === 'number') return delay(value, path);
  if (Array.isArray(value)) {
    if (value.length === 0) throw badOption(path, 'a list of at least one number of milliseconds', value);
    return value.map((each, i) => delay(each, `${path}[${i}]`));
  }
  const { type, baseMs, maxMs, ...others } = (value ?? {}) as Record<string, unknown>;
  if (type !== 'exponential' || Object.keys(others).length > 0) {
    const wanted = "milliseconds, a list of them, { type: 'exponential', baseMs, maxMs } or a function";
    throw badOption(path, `${wanted}${meant(type, others['delay'])}`, value);
  }
  const checked = exponential({
    ...(baseMs !== undefined && { baseMs: delay(baseMs, `${path}.baseMs`) }),
    ...(maxMs !== undefined && { maxMs: delay(maxMs, `${path}.maxMs`) }),
  });
  if (checked.maxMs < checked.baseMs) {
    throw badOption(`${path}.maxMs`, `at least baseMs (${checked.baseMs}), or every rest is cut to it`, maxMs);
  }
  return { type, ...checked };
};

/** A hint for BullMQ's form of the option: `{ type: 'exponential', delay: 1000 }` or `{ type: 'fixed', delay: 1000 }`. */
function meant(type: unknown, ms: unknown): string {
  if (typeof ms !== 'number') return '';
  return type === 'exponential' ? ` (baseMs: ${ms} for delay: ${ms})` : ` (${ms} for a fixed delay of ${ms})`;
}

/** The option with its defaults. */
function exponential({ baseMs = BASE_MS, maxMs = MAX_TIMES_BASE * baseMs }: Partial<ExponentialBackoff>): {
  baseMs: number;
  maxMs: number;
} {
  return { baseMs, maxMs: Math.min(maxMs, AGE_MAX_MS) };
}

/** Makes a function of a checked option. The result of a user's function is checked at each call, because it may be anything. */
export function resolveBackoff(given: Backoff | undefined): ResolvedBackoff {
  if (given === undefined) return defaultBackoff;
  if (typeof given === 'number') return () => given;
  if (typeof given === 'function') {
    return (attempt, error) => {
      const ms = given(attempt, error);
      refusePromise(ms, 'the result of backoff', 'a number of milliseconds, not a promise');
      return delay(ms, 'the result of backoff');
    };
  }
  if ('type' in given) {
    const { baseMs, maxMs } = exponential(given);
    return (attempt, _error, random) => exponentially(attempt, baseMs, maxMs, random);
  }
  return (attempt) => given[Math.min(attempt, given.length) - 1] ?? 0;
}
