import { SluiceError, badOption, optional, resolveOptions } from '../../weave/index.js';
import { historyOption, type HistoryOptions } from '../history/history.options.js';
import { namedIn, optionNames } from '../named-tasks.js';
import { sharesChange, type Shares } from '../priority/shares.js';
import type { QueueRef } from '../queue-definition.js';
import {
  changedLength,
  lengthChange,
  type LengthChange,
  type LengthLimit,
  type ResolvedLengthLimit,
} from './length-limit.js';

/** What a queue's name stands for in `queue.queues`. */
export interface QueueOptions {
  /** The members that differ from what `defineQueue` says; `false`: no limit. Default: as `defineQueue` says. */
  maxLength?: Partial<LengthLimit> | false;
  /**
   * The shares of the levels of priority that differ from what `defineQueue` says; `true` for a queue that is given by its bare name and
   * has the usual ones. Default: as `defineQueue` says.
   */
  shares?: Shares | true;
  /**
   * How many records of ended tasks are kept, where that differs from what `defineQueue` says: `{ completed: 500 }`; `false`: none. It
   * counts in the processes that handle the queue. Default: as `defineQueue` says.
   */
  history?: HistoryOptions | false;
}

interface Limited {
  maxLength?: LengthChange | false | undefined;
  shares?: Shares | undefined;
  history?: HistoryOptions | false | undefined;
}

/** The resolved `queue.queues`. */
export type QueuesByName = ReadonlyMap<string, Limited>;

/** Checks `queue.queues`. */
export function queuesByName(value: unknown, path: string): QueuesByName {
  if (value === undefined) return NONE;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badOption(path, 'an object of options by queue name', value);
  }
  const options = (given: unknown, at: string): Limited =>
    resolveOptions<Limited>(at, given, {
      maxLength: (each: unknown, where: string) =>
        each === undefined || each === false ? each : lengthChange(each, where),
      shares: optional(sharesChange),
      history: (each: unknown, where: string) =>
        each === undefined || each === false ? each : historyOption(each, where),
    });
  return new Map(Object.entries(value).map(([name, given]) => [name, options(given, `${path}.${name}`)]));
}

const NONE: QueuesByName = new Map();

/**
 * The limit that a publish to this queue observes: that of the definition, with what the configuration changes.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION` if the configuration limits a queue of named tasks as a whole, or if what it changes makes no
 * limit together with the definition
 */
export function lengthLimitOf(
  queue: QueueRef<unknown>,
  name: string,
  queues: QueuesByName,
): ResolvedLengthLimit | undefined {
  const declared = typeof queue === 'string' ? undefined : queue.maxLength;
  if (queues.size === 0) return declared;
  const names = optionNames(name, namedIn(queue));
  const [whole = '', own = name] = names;
  if (names.length > 1 && queues.get(whole)?.maxLength !== undefined) {
    throw new SluiceError(
      'SLUICE_BAD_OPTION',
      `queue.queues.${whole}.maxLength: '${whole}' has named tasks, and each has a length of its own: use queue.queues['${own}']`,
    );
  }
  return names.reduce((limit, each) => {
    const maxLength = queues.get(each)?.maxLength;
    if (maxLength === undefined) return limit;
    return maxLength ? changedLength(limit, maxLength, `queue.queues.${each}.maxLength`) : undefined;
  }, declared);
}

/** @throws SluiceError `SLUICE_BAD_OPTION`: publishes under a key do not look at the length */
export function refuseLengthLimit(queue: QueueRef<unknown>, name: string, queues: QueuesByName, call: string): void {
  if (lengthLimitOf(queue, name, queues) === undefined) return;
  throw new SluiceError(
    'SLUICE_BAD_OPTION',
    `${call}: queue '${name}' has a maxLength, which publishes under a key do not observe. Use publish, or a queue without maxLength`,
  );
}

/** @throws SluiceError `SLUICE_BAD_OPTION`: tasks of which the end is counted are not published all or none */
export function refuseLimitOfMembers(queue: string, limit: ResolvedLengthLimit | undefined): void {
  if (limit === undefined) return;
  throw new SluiceError(
    'SLUICE_BAD_OPTION',
    `publishMany: whenAllSettled is not for a queue with a maxLength, as '${queue}' has. Use publishMany without it, or a queue without maxLength`,
  );
}
