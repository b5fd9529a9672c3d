import { fn, resolveOptions, type Check } from '../../weave/index.js';
import type { Task } from './task.js';
import { traceOf, type TraceContext } from './trace-context.js';

/**
 * How trace context is sent along with tasks: two functions, so that this package needs no tracing library. With OpenTelemetry:
 *
 * @example
 * propagation: {
 *   inject: (carrier) => propagation.inject(context.active(), carrier),
 *   run: (carrier, work) => context.with(propagation.extract(ROOT_CONTEXT, carrier), work),
 * }
 */
export interface Propagation {
  /**
   * Called in each publish: puts the context that is active there into `carrier`. A `traceparent` of more than 256 bytes, a
   * `tracestate` of more than 4,096 and a `baggage` of more than 8,192 are left out.
   */
  inject?: (carrier: Record<string, string>) => void;
  /** Called around each run of a handler: runs `work` in the context that `carrier` has, and returns the result of `work`. */
  run?: (carrier: TraceContext, work: () => Promise<unknown>, task: Task) => Promise<unknown>;
}

export const propagationOption: Check<Propagation | undefined> = (value, path) =>
  value === undefined ? undefined : resolveOptions<Propagation>(path, value, { inject: fn(), run: fn() });

/** The trace context that `inject` adds now. */
export function injected({ inject }: Propagation): TraceContext {
  const carrier: Record<string, string> = {};
  inject?.(carrier);
  return traceOf(carrier);
}
