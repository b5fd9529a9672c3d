import { badOption, type Check } from '../weave/index.js';

/** A hundred years, in milliseconds. `Infinity` is stored as this: policies that evict only keys with a time to live still apply. */
export const FOREVER_MS = 3_155_760_000_000;

/** How long something stored may live: milliseconds from `min` (default 1) to a hundred years, or `Infinity`: until it is invalidated. */
export function lifetimeMs(fallback: number, { min = 1 }: { min?: number } = {}): Check<number> {
  return (value, path) => {
    if (value === undefined) return fallback;
    if (value === Infinity) return FOREVER_MS;
    if (typeof value === 'number' && value >= min && value <= FOREVER_MS) return Math.ceil(value);
    throw badOption(path, `a number of milliseconds from ${min} to ${FOREVER_MS} (100 years), or Infinity`, value);
  };
}
