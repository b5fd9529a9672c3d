import { badOption, type Check } from '../../weave/index.js';

/** 100 years of 365.25 days. No timer waits for a delayed task, so nothing but a date has to hold it. */
export const MAX_DELAY_MS = 3_155_760_000_000;

/** Checks how long a task is delayed, in milliseconds: 0 to 100 years, rounded up. */
export const delay: Check<number> = (value, path) => {
  if (isDelay(value)) return Math.ceil(value);
  throw badOption(path, `a number of milliseconds from 0 to ${MAX_DELAY_MS} (100 years)`, value);
};

/** Whether a task can be delayed by that. Also asked of what handlers throw: another copy of the package may have made it. */
export function isDelay(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= MAX_DELAY_MS;
}

/** Checks when a task is due. */
export const dueDate: Check<Date> = (value, path) => {
  const ms = value instanceof Date ? value.getTime() : NaN;
  if (ms <= Date.UTC(9_999, 0)) return value as Date;
  throw badOption(path, 'a valid Date before the year 9999', value);
};
