/** The names under which W3C trace context travels, in an entry's `meta`. All others stay at home. */
const CARRIED = ['traceparent', 'tracestate', 'baggage'] as const;

/**
 * W3C trace context, as it travels with a task.
 *
 * @see https://www.w3.org/TR/trace-context/
 */
export type TraceContext = { readonly [K in (typeof CARRIED)[number]]?: string };

export const NO_TRACE: TraceContext = Object.freeze({});

/** The trace context among other things. */
export function traceOf(carrier: Readonly<Record<string, unknown>>): TraceContext {
  const trace: { -readonly [K in keyof TraceContext]: string } = {};
  for (const name of CARRIED) {
    const value = carrier[name];
    if (typeof value === 'string' && value !== '') trace[name] = value;
  }
  return trace;
}
