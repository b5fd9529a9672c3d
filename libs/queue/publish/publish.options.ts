import type { Clock } from '../../redis/index.js';
import { traceOption, type TraceContext } from '../task/trace-context.js';
import { checkKey } from '../ordering/ordering.options.js';
import { backoff, type Backoff } from '../task/backoff.js';
import { delay, dueDate } from '../task/delay.js';
import type { WhenAllSettled } from './when-settled.options.js';
import { badOption, count, oneOf, optional, resolveOptions, type OptionChecks } from '../../weave/index.js';
import { LEVELS, type Priority } from '../store/levels.js';

/** The options of `publish` and `publishMany`. */
export interface PublishOptions {
  /** After how many milliseconds the task runs, on Redis' clock; not before. At most 100 years. Default 0: at once. */
  delayMs?: number;
  /** When the task runs, on Redis' clock; not before. A time in the past means at once. Use either `runAt` or `delayMs`. */
  runAt?: Date;
  /** How many attempts this task has, instead of the handler's `maxAttempts`. 1: no retry. */
  maxAttempts?: number;
  /**
   * How long this task waits after a failed run, instead of the handler's `backoff`. It is sent with the task, so it cannot be a
   * function.
   */
  backoff?: Exclude<Backoff, (attempt: number, error: unknown) => number>;
  /**
   * How urgent the task is: `'high'`, `'normal'` or `'low'`. Only for queues with `shares`; others refuse it with `SLUICE_BAD_OPTION`. The
   * task keeps it through delays, retries, and as a dead letter that is brought back. Default `'normal'`.
   */
  priority?: Priority;
  /**
   * The ordering key of this task, instead of what the `orderingKey` of `defineQueue` makes of its payload: a text of 1 to 256 bytes. Of the
   * tasks of one key, one runs at a time, in the order of publishing. Only for ordered queues. A queue that is given by its bare name
   * ignores it, unless its handlers are ordered. Not together with a `priority`.
   */
  orderingKey?: string;
  /**
   * W3C trace context that is sent along, for `task.trace`: a `traceparent` of at most 256 bytes, a `tracestate` of at most
   * 4,096 and a `baggage` of at most 8,192. Default: the context that `queue.propagation.inject` adds.
   */
  trace?: TraceContext;
  /**
   * Ends the call before the task is sent: while it waits for room in a queue with `maxLength: { onFull: 'wait' }`. The promise then
   * rejects with the signal's reason, and nothing was published.
   */
  signal?: AbortSignal;
}

/** What is sent along with a task. */
export interface SentOptions extends PublishOptions {
  /** Who waits for the result, as `replyText` writes it. */
  reply?: string;
}

/**
 * Checks the options of one call.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION`; the reason of a `signal` that is aborted already
 */
export function checkPublishOptions(given: PublishOptions | undefined, site = 'publish'): PublishOptions {
  if (given === undefined) return NONE;
  const options = resolveOptions(site, given, CHECKS);
  if (options.runAt !== undefined && options.delayMs !== undefined) {
    throw badOption(`${site}: runAt`, 'left out where delayMs is given', options.runAt);
  }
  options.signal?.throwIfAborted();
  return options;
}

/** The options of a `publishMany`: the same for all payloads, or a function that makes those of each. */
export type PublishManyOptions<T, F = unknown> =
  | (PublishOptions & {
      /**
       * A task that is published when all tasks of this call have ended: once, in the step in which the last one ends. Ended are tasks that
       * are done, dead letters, and tasks that were removed or cancelled. Default: none.
       */
      whenAllSettled?: WhenAllSettled<F>;
    })
  | ((payload: T, index: number) => PublishOptions | undefined);

/**
 * Checks the options of a `publishMany`, those of every payload before any is sent.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION`, which names the payload; what the function throws
 */
export function checkPublishManyOptions(
  given: PublishOptions | ((payload: unknown, index: number) => PublishOptions | undefined) | undefined,
  payloads: readonly unknown[],
): PublishOptions | readonly PublishOptions[] {
  if (typeof given !== 'function') return checkPublishOptions(given);
  return payloads.map((payload, i) => checkPublishOptions(given(payload, i), `publishMany: options of payloads[${i}]`));
}

const NONE: PublishOptions = {};
const CHECKS: OptionChecks<PublishOptions> = {
  delayMs: optional(delay),
  runAt: optional(dueDate),
  maxAttempts: optional(count(1)),
  backoff: sentBackoff,
  priority: optional(oneOf(LEVELS, 'normal')),
  orderingKey: (value, path) => (value === undefined ? value : checkKey(value, path)),
  trace: traceOption,
  signal: abortSignal,
};

function abortSignal(value: unknown, path: string): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value;
  throw badOption(path, 'an AbortSignal', value);
}

function sentBackoff(value: unknown, path: string): PublishOptions['backoff'] {
  const checked = backoff(value, path);
  if (typeof checked !== 'function') return checked;
  throw badOption(
    path,
    'a value that can be sent: a number, a list or an object. A function belongs to the handler',
    value,
  );
}

/** The options of one payload. */
export function optionsAt(options: PublishOptions | readonly PublishOptions[], i: number): PublishOptions {
  return isList(options) ? (options[i] ?? {}) : options;
}

/** Whether the task is not to run at once. */
export function isDelayed({ delayMs, runAt }: PublishOptions): boolean {
  return (delayMs !== undefined && delayMs > 0) || runAt !== undefined;
}

/** In how many milliseconds the task is due; Infinity if it runs at once. */
export function dueInMs(options: PublishOptions, clock: Clock): number {
  if (!isDelayed(options)) return Infinity;
  return options.runAt === undefined ? (options.delayMs ?? 0) : Math.max(0, options.runAt.getTime() - clock.wallMs());
}

/** A task to be sent. */
export interface Item {
  /** As JSON. */
  readonly payload: string;
  readonly options: SentOptions;
}

/** Whether each payload has its own options. */
export function isList(options: PublishOptions | readonly PublishOptions[]): options is readonly PublishOptions[] {
  return Array.isArray(options);
}

/** Whether a task is for another level than that of the queue's own stream. */
export function isLevelled({ priority = 'normal' }: PublishOptions): boolean {
  return priority !== 'normal';
}

/** @throws SluiceError `SLUICE_BAD_OPTION`: a key is for one place, and the levels of a queue are several */
export function refusePriority({ priority }: PublishOptions, site: string): void {
  if (priority === undefined) return;
  throw badOption(`${site}: priority`, 'left out: a publish under a key has no priority. Use publish', priority);
}

/** @throws SluiceError `SLUICE_BAD_OPTION`: the tasks of a join are published to one stream */
export function refusePriorityOfMembers(options: readonly PublishOptions[]): void {
  const given = options.find(({ priority }) => priority !== undefined)?.priority;
  if (given === undefined) return;
  throw badOption('publishMany: priority', 'left out beside whenAllSettled, which knows no levels of priority', given);
}
