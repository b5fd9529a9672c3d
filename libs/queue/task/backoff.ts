import { AGE_MAX_MS, badOption, type Check } from '../../weave/index.js';
import { delay } from './delay.js';

/**
 * How long a task rests after its `attempt`-th run failed (from 1), in milliseconds.
 *
 * - A number: the rest is always that long.
 * - A list: its `attempt`-th number, and the last one from then on.
 * - `exponential`: a random time from 0 to `baseMs` · 2^(attempt − 1), at most `maxMs`. Every time in that range is equally likely
 *   (full jitter), so tasks that failed together do not return together.
 * - A function: what it answers. If it throws, or answers no number from 0 on, the default is taken and the mistake is logged.
 */
export type Backoff = number | readonly number[] | ExponentialBackoff | ((attempt: number, error: unknown) => number);

export interface ExponentialBackoff {
  type: 'exponential';
  /** Default 1 000. */
  baseMs?: number;
  /** The longest rest. Default 60 times `baseMs`: 60 000 where `baseMs` is left out. At least `baseMs`. */
  maxMs?: number;
}

/** {@link Backoff}, checked. */
export type ResolvedBackoff = (attempt: number, error: unknown, random: () => number) => number;

const BASE_MS = 1_000;
const MAX_MS = 60_000;
/** How many times `baseMs` the longest rest is by default. */
const MAX_TIMES_BASE = MAX_MS / BASE_MS;

/** A random rest whose upper end doubles with each attempt. */
export function exponentially(attempt: number, baseMs: number, maxMs: number, random: () => number): number {
  return random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 40));
}

/** The default: a rest of up to 1 s after the first failure, of up to 60 s after many. */
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

/** BullMQ writes `{ type: 'exponential', delay: 1000 }` and `{ type: 'fixed', delay: 1000 }`. */
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

/** A checked option as a function. A function of the user may still return anything. */
export function resolveBackoff(given: Backoff | undefined): ResolvedBackoff {
  if (given === undefined) return defaultBackoff;
  if (typeof given === 'number') return () => given;
  if (typeof given === 'function') return (attempt, error) => delay(given(attempt, error), 'the result of backoff');
  if ('type' in given) {
    const { baseMs, maxMs } = exponential(given);
    return (attempt, _error, random) => exponentially(attempt, baseMs, maxMs, random);
  }
  return (attempt) => given[Math.min(attempt, given.length) - 1] ?? 0;
}
