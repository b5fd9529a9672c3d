import { get } from '../launcher/requests.js';
import { atLeast, equal, type Step } from './step.js';

const CUSTOMERS = 3;
const REQUESTS_EACH = 20;

/** As in `credit/credit.limits.ts`. */
const LIMIT = 10;
const GAP_MS = 50;

export interface RateLimitsFigures {
  requests: number;
  /** Answered with 200. */
  admitted: number;
  /** Answered with 429 and a `Retry-After` from 1 to 61. */
  refused: number;
  /** Calls that reached the agency. */
  calls: number;
  /** From the requests to its last call. */
  spreadMs: number;
  policy: string;
  state: string;
  retryAfter: string;
}

/** More requests than each customer may make, over three processes, for what a partner has to be asked. */
export const rateLimits: Step<RateLimitsFigures> = {
  title: 'Rate limits: @RateLimit',
  shows: `${CUSTOMERS} customers ask for their credit rating ${REQUESTS_EACH} times at once, over all processes. Each may ask ${LIMIT} times a minute. The agency takes ${1_000 / GAP_MS} calls a second.`,

  async play({ fleet, gateway }) {
    const before = gateway.ratings.length;
    const asked = performance.now();
    const replies = await Promise.all(
      Array.from({ length: CUSTOMERS * REQUESTS_EACH }, (_, turn) =>
        get(`${fleet.url(turn)}/customers/${1 + (turn % CUSTOMERS)}/credit`),
      ),
    );
    const refusals = replies.filter(({ status, headers }) => {
      const seconds = Number(headers['retry-after']);
      // A unit leaves the minute up to 1 ms late, so the wait of a refusal within that millisecond is more than 60 s.
      return status === 429 && seconds >= 1 && seconds <= 61;
    });
    const calls = gateway.ratings.slice(before);
    const { headers = {} } = refusals[0] ?? {};
    return {
      requests: replies.length,
      admitted: replies.filter(({ status }) => status === 200).length,
      refused: refusals.length,
      calls: calls.length,
      spreadMs: Math.round((calls.at(-1) ?? 0) - asked),
      policy: String(headers['ratelimit-policy']),
      state: String(headers['ratelimit']),
      retryAfter: String(headers['retry-after']),
    };
  },

  judge: ({ requests, admitted, refused, calls, spreadMs }) => [
    equal('requests that are admitted', CUSTOMERS * LIMIT, admitted),
    equal('requests that are refused with 429 and Retry-After', requests - CUSTOMERS * LIMIT, refused),
    equal('calls of the agency', CUSTOMERS * LIMIT, calls),
    // The last of them waits for the turns of all others. It is never early, but for the granularity of clocks.
    atLeast('ms over which they were spread', (CUSTOMERS * LIMIT - 2) * GAP_MS, spreadMs),
  ],

  rows: ({ requests, admitted, refused, calls, spreadMs, policy, state, retryAfter }) => [
    ['requests', requests],
    ['admitted', admitted],
    ['refused', refused],
    ['calls of the agency', `${calls} in ${spreadMs} ms`],
    ['a refusal says', `RateLimit-Policy: ${policy}`],
    ['', `RateLimit: ${state}`],
    ['', `Retry-After: ${retryAfter}`],
  ],
};
