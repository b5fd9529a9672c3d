import type { TraceContext } from '../task/trace-context.js';
import type { SentOptions } from './publish.options.js';

/** What `meta` says of one task, beside its options. */
export interface OwnMeta {
  id?: string | undefined;
  key?: string;
  join?: string;
}

/**
 * The `meta` of a new entry: what is sent along with the payload. Usually it is empty.
 *
 * @param injected the trace context of the publisher, for tasks whose options have none
 */
export function sentMeta(
  { maxAttempts, backoff, trace, reply }: SentOptions,
  { id, key, join }: OwnMeta = {},
  injected?: () => TraceContext,
): string {
  const context = trace ?? injected?.();
  const own = id ?? maxAttempts ?? backoff ?? key ?? join ?? reply;
  if (own === undefined && context === undefined) return '';
  return JSON.stringify({ id, maxAttempts, backoff, key, join, reply, ...context });
}
