import { traceOption } from '../task/propagation.js';
import type { TraceContext } from '../task/trace-context.js';
import { count, durationMs, optional, resolveOptions, type OptionChecks } from '../../weave/index.js';

/** What `publish` and `publishMany` take. */
export interface PublishOptions {
  /** Run it so many milliseconds from now, on Redis' clock, and not before. Default 0: at once. */
  delayMs?: number;
  /** For this task instead of the handler's `maxAttempts`. 1: no retry. */
  maxAttempts?: number;
  /**
   * W3C trace context that goes along, for `task.trace`: a `traceparent` of at most 256 bytes, a `tracestate` of at most 4,096 and
   * a `baggage` of at most 8,192. Default: what `queue.propagation.inject` says.
   */
  trace?: TraceContext;
}

/**
 * Checks the options of one call.
 *
 * @throws SluiceError `SLUICE_BAD_OPTION`
 */
export function checkPublishOptions(given: PublishOptions | undefined): PublishOptions {
  return given === undefined ? NONE : resolveOptions('publish', given, CHECKS);
}

const NONE: PublishOptions = {};
const CHECKS: OptionChecks<PublishOptions> = {
  delayMs: optional(durationMs(0, { min: 0 })),
  maxAttempts: optional(count(1)),
  trace: traceOption,
};
