import { traceOption } from '../task/propagation.js';
import type { TraceContext } from '../task/trace-context.js';
import { delay, dueDate } from '../task/delay.js';
import { badOption, count, optional, resolveOptions, type OptionChecks } from '../../weave/index.js';

/** The options of `publish` and `publishMany`. */
export interface PublishOptions {
  /** After how many milliseconds the task runs, on Redis' clock; not before. At most 100 years. Default 0: at once. */
  delayMs?: number;
  /** When the task runs, on Redis' clock; not before. A time in the past means at once. Use either `runAt` or `delayMs`. */
  runAt?: Date;
  /** How many attempts this task has, instead of the handler's `maxAttempts`. 1: no retry. */
  maxAttempts?: number;
  /**
   * W3C trace context that is sent along, for `task.trace`: a `traceparent` of at most 256 bytes, a `tracestate` of at most
   * 4,096 and a `baggage` of at most 8,192. Default: the context that `queue.propagation.inject` adds.
   */
  trace?: TraceContext;
}

/**
 * Checks the options of one call.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION`
 */
export function checkPublishOptions(given: PublishOptions | undefined): PublishOptions {
  if (given === undefined) return NONE;
  const options = resolveOptions('publish', given, CHECKS);
  if (options.runAt !== undefined && options.delayMs !== undefined) {
    throw badOption('publish: runAt', 'left out where delayMs is given', options.runAt);
  }
  return options;
}

const NONE: PublishOptions = {};
const CHECKS: OptionChecks<PublishOptions> = {
  delayMs: optional(delay),
  runAt: optional(dueDate),
  maxAttempts: optional(count(1)),
  trace: traceOption,
};
