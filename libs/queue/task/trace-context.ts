import { badOption, isLongerThan, type Check } from '../../weave/index.js';

/**
 * The fields of W3C trace context in an entry's `meta`, and how long each may be, in bytes. Fields with other names are not sent.
 * `baggage` comes from clients, and is sent with every task that a request publishes.
 *
 * @see https://www.w3.org/TR/baggage/#limits
 */
const CARRIED = { traceparent: 256, tracestate: 4_096, baggage: 8_192 } as const;

type Name = keyof typeof CARRIED;
const NAMES = Object.keys(CARRIED) as Name[];

/**
 * W3C trace context, as it is sent along with a task.
 *
 * @see https://www.w3.org/TR/trace-context/
 */
export type TraceContext = { readonly [K in Name]?: string };

export const NO_TRACE: TraceContext = Object.freeze({});

/** Picks the trace context from other fields. A part that is too long is left out, as the W3C specifications allow. */
export function traceOf(carrier: Readonly<Record<string, unknown>>): TraceContext {
  const trace: { -readonly [K in keyof TraceContext]: string } = {};
  for (const name of NAMES) {
    const value = carrier[name];
    if (typeof value === 'string' && value !== '' && !isLongerThan(value, CARRIED[name])) trace[name] = value;
  }
  return trace;
}

/** The first part that is too long, and its limit. */
function tooLongIn(carrier: Readonly<Record<string, unknown>>): { name: Name; maxBytes: number } | undefined {
  const name = NAMES.find((each) => {
    const value = carrier[each];
    return typeof value === 'string' && isLongerThan(value, CARRIED[each]);
  });
  return name && { name, maxBytes: CARRIED[name] };
}

/** Checks the trace context that a publish sends along. */
export const traceOption: Check<TraceContext | undefined> = (value, path) => {
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || value === null) throw badOption(path, 'an object such as { traceparent }', value);
  const carrier = value as Record<string, unknown>;
  const tooLong = tooLongIn(carrier);
  if (tooLong) {
    const { name, maxBytes } = tooLong;
    throw badOption(`${path}.${name}`, `at most ${maxBytes} bytes long`, carrier[name]);
  }
  return traceOf(carrier);
};
