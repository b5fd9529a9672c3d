import { AGE_MAX_MS, badOption, type Check } from '../../weave/index.js';

/**
 * Checks how long a task is delayed, in milliseconds: 0 to 100 years, rounded up. No timer has to wait for the whole delay, so
 * the longest timer (24.8 days) is no limit.
 */
export const delay: Check<number> = (value, path) => {
  if (isDelay(value)) return Math.ceil(value);
  throw badOption(path, `a number of milliseconds from 0 to ${AGE_MAX_MS} (100 years)`, value);
};

/**
 * Whether a task can be delayed by this value. The delays in errors that handlers throw are checked as well, because another copy
 * of the package may have created the error.
 */
export function isDelay(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= AGE_MAX_MS;
}

/** Checks when a task is due. */
export const dueDate: Check<Date> = (value, path) => {
  const ms = value instanceof Date ? value.getTime() : NaN;
  if (ms <= Date.UTC(9_999, 0)) return value as Date;
  throw badOption(path, 'a valid Date before the year 9999', value);
};
