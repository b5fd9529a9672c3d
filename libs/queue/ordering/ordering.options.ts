import {
  SluiceError,
  badOption,
  isLongerThan,
  isWellFormed,
  oneOf,
  refusePromise,
  type Check,
} from '../../weave/index.js';
import { KEY_MAX_BYTES } from '../store/scripts/gates.fragment.js';

/** What becomes of the other tasks of a key when one of them is a dead letter. */
export type AfterDeadLetter = 'continue' | 'stop';

/** The order of a queue, as `defineQueue` takes it. */
export interface OrderingOptions<T> {
  /**
   * Makes the ordering key of a payload: a text of 1 to 256 bytes, without a NUL. Of the tasks of one key, one runs at a time, in the order
   * in which they were published. Default: none, tasks run in any order.
   */
  orderingKey?: (payload: T) => string;
  /**
   * What follows when a task with a key becomes a dead letter: its key goes on with the next task (`'continue'`, default), or stops until
   * that dead letter is redriven or deleted (`'stop'`).
   */
  afterDeadLetter?: AfterDeadLetter;
}

/** The order of a queue that has one. */
export interface ResolvedOrdering {
  readonly orderingKey: (payload: never) => string;
  readonly afterDeadLetter: AfterDeadLetter;
}

/** Checks an `orderingKey`. */
export const keyFunction: Check<ResolvedOrdering['orderingKey'] | undefined> = (value, path) => {
  if (value === undefined || typeof value === 'function') return value as ResolvedOrdering['orderingKey'] | undefined;
  throw badOption(path, 'a function of a payload that returns its key', value);
};

/** Checks an `afterDeadLetter`. */
export const afterDeadLetter: Check<AfterDeadLetter | undefined> = (value, path) =>
  value === undefined ? undefined : oneOf(['continue', 'stop'], 'continue')(value, path);

/** @throws SluiceError `SLUICE_BAD_OPTION` if only one of the two makes sense */
export function ordering(
  site: string,
  { orderingKey, afterDeadLetter: after }: { orderingKey?: unknown; afterDeadLetter?: unknown },
): ResolvedOrdering | undefined {
  if (orderingKey !== undefined) {
    return {
      orderingKey: orderingKey as ResolvedOrdering['orderingKey'],
      afterDeadLetter: (after as AfterDeadLetter | undefined) ?? 'continue',
    };
  }
  if (after !== undefined) throw badOption(`${site}.afterDeadLetter`, 'left out without orderingKey', after);
  return undefined;
}

/** Checks an ordering key. */
export function checkKey(value: unknown, path: string): string {
  const isKey =
    typeof value === 'string' &&
    value !== '' &&
    !value.includes('\0') &&
    isWellFormed(value) &&
    !isLongerThan(value, KEY_MAX_BYTES);
  if (isKey) return value;
  refusePromise(value, path, 'a text, not a promise');
  throw badOption(path, `a text of 1 to ${KEY_MAX_BYTES} bytes without NUL`, value);
}

/** The order of a queue reference, if it has one. */
export function orderingOf(ref: unknown): ResolvedOrdering | undefined {
  return typeof ref === 'object' && ref !== null && 'ordering' in ref ? (ref.ordering as ResolvedOrdering) : undefined;
}

/** @throws SluiceError `SLUICE_BAD_OPTION`: what is published there has no ordering key */
export function refuseOrdered(ref: unknown, site: string, instead: string): void {
  if (orderingOf(ref) === undefined) return;
  throw new SluiceError('SLUICE_BAD_OPTION', `${site}: queue '${nameOf(ref)}' has an orderingKey. ${instead}`);
}

/** @throws SluiceError `SLUICE_BAD_OPTION`: tasks of schedules have no key */
export function refuseSchedules(ref: unknown, site = 'schedules'): void {
  refuseOrdered(ref, site, 'Tasks of schedules have no key: let the handler of another queue publish them');
}

/** The name of a queue reference, for messages. */
export function nameOf(ref: unknown): string {
  return typeof ref === 'string' ? ref : (ref as { name: string }).name;
}
