import { AGE_MAX_MS, badOption, type Check } from '../weave/index.js';

/**
 * How long a stored value may live: milliseconds from `min` (default 1) to a hundred years, or `Infinity`: until the value is
 * invalidated.
 */
export function lifetimeMs(fallback: number, { min = 1 }: { min?: number } = {}): Check<number> {
  return (value, path) => {
    if (value === undefined) return fallback;
    // A time to live is set all the same: policies of Redis that evict only keys with one still apply.
    if (value === Infinity) return AGE_MAX_MS;
    if (typeof value === 'number' && value >= min && value <= AGE_MAX_MS) return Math.ceil(value);
    throw badOption(path, `a number of milliseconds from ${min} to ${AGE_MAX_MS} (100 years), or Infinity`, value);
  };
}
