import type { RateLimitDecision } from '../rate-limit-decision.js';
import type { NamedDecision } from '../decorators/charged-call.js';

/** The type of a problem (RFC 9457), as the draft registers it. */
export const PROBLEM = 'https://iana.org/assignments/http-problem-types';

/** A header field and its value. */
type Field = readonly [name: string, value: string];

/**
 * The fields of draft-ietf-httpapi-ratelimit-headers-11. `w` and `t` are whole seconds, so a window of other lengths has no `w`.
 * `t` is the time until all units are left. In a refusal it is not after `Retry-After`.
 */
export function draftFields(decided: readonly NamedDecision[]): Field[] {
  const policies: string[] = [];
  const states: string[] = [];
  for (const { names, decision } of decided) {
    const latest = decision.allowed ? Infinity : retryAfterSeconds(decision);
    for (const [i, { limit, perMs, remaining, resetMs }] of decision.limits.entries()) {
      const name = quoted(names[i] ?? '');
      policies.push(`${name};q=${limit}${perMs % 1_000 === 0 ? `;w=${perMs / 1_000}` : ''}`);
      states.push(`${name};r=${remaining};t=${Math.min(seconds(resetMs), latest)}`);
    }
  }
  return policies.length === 0
    ? []
    : [
        ['RateLimit-Policy', policies.join(', ')],
        ['RateLimit', states.join(', ')],
      ];
}

/** The fields that many clients know, for the limit with the fewest units left. Seconds until the reset, not an instant. */
export function xRateLimitFields(decided: readonly NamedDecision[]): Field[] {
  const all = decided.map(({ decision }) => decision);
  const [first, ...others] = all;
  if (first === undefined) return [];
  const { limit, remaining, resetMs } = others.reduce((a, b) => (b.remaining < a.remaining ? b : a), first);
  return [
    ['X-RateLimit-Limit', String(limit)],
    ['X-RateLimit-Remaining', String(remaining)],
    ['X-RateLimit-Reset', String(seconds(resetMs))],
  ];
}

/** Whole seconds until a refused call may pass. A call that costs more than its limit never does: then, the longest window. */
export function retryAfterSeconds({ retryAfterMs, limits }: RateLimitDecision): number {
  return seconds(Number.isFinite(retryAfterMs) ? retryAfterMs : Math.max(...limits.map(({ perMs }) => perMs)));
}

/** Rounded up: a client that waits as long is not refused again. */
const seconds = (ms: number): number => Math.ceil(ms / 1_000);

/** Names as fields write them. They are those of definitions, so there are few. */
const quotedNames = new Map<string, string>();

/** A string of structured fields (RFC 9651) has printable ASCII only. Names have no quotation marks. */
function quoted(name: string): string {
  let text = quotedNames.get(name);
  if (text === undefined)
    quotedNames.set(name, (text = `"${name.replace(/\\/g, '\\\\').replace(/[^\x20-\x7e]/gu, encodeURIComponent)}"`));
  return text;
}
