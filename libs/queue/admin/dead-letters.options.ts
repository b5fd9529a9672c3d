import { badOption, fn, optional, refusePromise, resolveOptions, text, type Check } from '../../weave/index.js';
import type { ListOptions } from './queue.operations.js';
import type { DeadLetter } from './task-info.js';

/** Chooses dead letters. */
export type DeadLetterFilter<T = unknown> = (letter: DeadLetter<T>) => boolean;

export interface DeadLetterListOptions<T = unknown> extends Pick<ListOptions, 'limit' | 'after'> {
  /** Lists only the dead letters for which this returns true. Default: all. */
  filter?: DeadLetterFilter<T>;
}

export interface RedriveOptions<T = unknown> {
  /** Brings back only the dead letters for which this returns true. Default: all. */
  filter?: DeadLetterFilter<T>;
  /** How many per second at most. Default: as fast as Redis takes them. */
  perSecond?: number;
  /** The consumer group that runs the tasks. Default: the group to which each dead letter belongs. */
  toGroup?: string;
  /** Stops between two chunks. */
  signal?: AbortSignal;
}

export interface DeadLetterPurgeOptions<T = unknown> {
  /** Deletes only the dead letters for which this returns true. Default: all. */
  filter?: DeadLetterFilter<T>;
}

/** @throws SluiceError `SLUICE_BAD_OPTION` */
export function checkLetterList<T>(given: DeadLetterListOptions<T> | undefined): DeadLetterListOptions<T> {
  return resolveOptions<DeadLetterListOptions<T>>('dead().list', given, { limit: listLimit, after: text(), filter });
}

/** @throws SluiceError `SLUICE_BAD_OPTION` */
export function checkRedrive<T>(given: RedriveOptions<T> | undefined): RedriveOptions<T> {
  return resolveOptions<RedriveOptions<T>>('redrive', given, {
    filter,
    perSecond: optional(rate),
    toGroup: text(),
    signal: abortSignal,
  });
}

/**
 * A purge cannot be undone. So a `filter` that is there without a value is refused, and does not mean all.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION`
 */
export function checkLetterPurge<T>(given: DeadLetterPurgeOptions<T> | undefined): DeadLetterPurgeOptions<T> {
  const options = resolveOptions<DeadLetterPurgeOptions<T>>('dead().purge', given, { filter });
  if (given && options.filter === undefined && Object.hasOwn(given, 'filter')) {
    throw badOption('dead().purge.filter', 'a function, or left out to delete all dead letters', undefined);
  }
  return options;
}

function filter(value: unknown, path: string): DeadLetterFilter | undefined {
  const given = fn<(letter: DeadLetter) => unknown>()(value, path);
  if (given === undefined) return undefined;
  return (letter) => {
    const chosen = given(letter);
    // A promise would be true for each letter.
    refusePromise(chosen, `what ${path} returns`, 'true or false, not a promise');
    return Boolean(chosen);
  };
}

function listLimit(value: unknown, path: string): number | undefined {
  if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= 1_000)) {
    return value as number | undefined;
  }
  throw badOption(path, 'a whole number from 1 to 1000', value);
}

function rate(value: unknown, path: string): number {
  if (typeof value === 'number' && value > 0) return value;
  throw badOption(path, 'a number of tasks above 0', value);
}

const abortSignal: Check<AbortSignal | undefined> = (value, path) => {
  if (value === undefined || value instanceof AbortSignal) return value;
  throw badOption(path, 'an AbortSignal', value);
};
