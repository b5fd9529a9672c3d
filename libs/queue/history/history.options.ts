import { badOption, optional, resolveOptions, type Check } from '../../weave/index.js';

/** How many records of ended tasks a queue keeps. */
export interface HistoryOptions {
  /** How many of the newest completed tasks are recorded. Default 0: none. At most 100 000. */
  completed?: number;
  /** How many of the newest tasks that became dead letters are recorded. Default 0: none. At most 100 000. */
  failed?: number;
}

export type ResolvedHistory = Readonly<Required<HistoryOptions>>;

/** A record has some 200 bytes, its payload and its result: more of them are for a database. */
export const RECORDS_MOST = 100_000;

const records: Check<number> = (value, path) => {
  if (Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= RECORDS_MOST)
    return value as number;
  throw badOption(path, `a whole number from 0 to ${RECORDS_MOST}`, value);
};

/** Checks a `history`, of a definition or of a configuration. */
export const historyOption: Check<HistoryOptions> = (value, path) => {
  const given = resolveOptions<HistoryOptions>(path, value, {
    completed: optional(records),
    failed: optional(records),
  });
  if (given.completed === undefined && given.failed === undefined) {
    throw badOption(path, 'an object with completed, failed, or both: how many records are kept', value);
  }
  return Object.freeze(given);
};
