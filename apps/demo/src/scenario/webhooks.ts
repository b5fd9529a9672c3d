import type { PartnerCall } from '../launcher/partners.js';
import { post } from '../launcher/requests.js';
import { atLeast, atMost, equal, type Step } from './step.js';

const FLOOD = 20;
const OTHERS = ['partner-1', 'partner-2', 'partner-3'];
const EACH = 3;
/** As in the app's @TaskHandler. */
const AT_A_TIME = 2;
const LIMIT = 5;
const WINDOW_MS = 500;

export interface WebhooksFigures {
  /** Calls that the partner with many events has had, and those of the others. */
  flood: number;
  others: number;
  /** The most calls that one partner had at a time, from all processes. */
  most: number;
  /** Calls of the flood that were made before the last one of another partner. */
  ahead: number;
  /** From the request for the flood to its last call, and to the last one of another partner. */
  floodMs: number;
  othersMs: number;
}

/** One partner has many events when others have a few. Each is called at its own rate, and none waits for another one. */
export const webhooks: Step<WebhooksFigures> = {
  title: 'Webhooks: limits of each key',
  shows: `Partners take ${AT_A_TIME} calls at a time and ${LIMIT} in any ${WINDOW_MS} ms. One has ${FLOOD} events when ${OTHERS.length} others have ${EACH} each.`,

  async play({ fleet, gateway, until }) {
    const { partners } = gateway;
    const events = Array.from({ length: FLOOD }, (_, i) => i);
    const started = performance.now();
    await post(`${fleet.url(0)}/webhooks`, { partner: 'flood', events });
    await Promise.all(
      OTHERS.map((partner, i) => post(`${fleet.url(i)}/webhooks`, { partner, events: events.slice(0, EACH) })),
    );
    await until(() => partners.calls.size >= FLOOD + OTHERS.length * EACH);
    const calls = [...partners.calls.values()];
    const last = calls.findLastIndex((call) => !isFlood(call));
    return {
      flood: calls.filter(isFlood).length,
      others: calls.filter((call) => !isFlood(call)).length,
      most: partners.most,
      ahead: calls.slice(0, last).filter(isFlood).length,
      floodMs: Math.round((calls.findLast(isFlood)?.at ?? 0) - started),
      othersMs: Math.round((calls[last]?.at ?? 0) - started),
    };
  },

  judge: ({ flood, others, most, ahead, floodMs }) => [
    equal('calls of the partner with many events', FLOOD, flood),
    equal('calls of the others', OTHERS.length * EACH, others),
    atMost('calls of one partner at a time, from all processes', AT_A_TIME, most),
    // The last ones are in the fourth window. They are never early, but for the granularity of clocks.
    atLeast('ms over which the many were spread', (FLOOD / LIMIT - 1) * WINDOW_MS - 2, floodMs),
    // In the order of their publication it would be all of them.
    atMost('calls of the many ahead of the last other one', FLOOD / 2, ahead),
  ],

  rows: ({ flood, floodMs, others, othersMs, most }) => [
    ['one partner', `${flood} calls, the last after ${floodMs} ms`],
    ['the others', `${others} calls, the last after ${othersMs} ms`],
    ['most at a time of one', most],
  ],
};

const isFlood = ({ partner }: PartnerCall): boolean => partner === 'flood';
