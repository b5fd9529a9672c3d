import { randomUUID } from 'node:crypto';
import { get } from '../launcher/requests.js';
import { Source } from '../launcher/source.js';
import { equal, type Step } from './step.js';

const REQUESTS = 100;

export interface ColdKeyFigures {
  requests: number;
  /** Requests that were answered with the product. */
  answered: number;
  /** How often the source was asked. */
  loads: number;
  medianMs: number;
  slowestMs: number;
}

/** 100 requests at once over three processes for a key that is in no cache. */
export const coldKey: Step<ColdKeyFigures> = {
  title: 'A cold cache key: @CacheStampedeSafe',
  shows: `${REQUESTS} requests at once, over all processes, for a product that is in no cache. Its source takes ${Source.slownessMs} ms.`,

  async play({ fleet, source }) {
    const product = randomUUID();
    const replies = await Promise.all(
      Array.from({ length: REQUESTS }, (_, turn) => get(`${fleet.url(turn)}/products/${product}`)),
    );
    const times = replies.map((reply) => reply.tookMs).sort((a, b) => a - b);
    return {
      requests: REQUESTS,
      answered: replies.filter(({ status, body }) => status === 200 && idOf(body) === product).length,
      loads: source.loadsOf(product),
      medianMs: times[REQUESTS / 2] ?? 0,
      slowestMs: times[REQUESTS - 1] ?? 0,
    };
  },

  judge: ({ requests, answered, loads }) => [
    equal('every request is answered', requests, answered),
    equal('the source is asked once', 1, loads),
  ],

  rows: ({ requests, loads, medianMs, slowestMs }) => [
    ['requests', requests],
    ['loads', loads],
    ['median latency', `${medianMs} ms`],
    ['slowest', `${slowestMs} ms`],
  ],
};

function idOf(body: unknown): unknown {
  return (body as { id?: unknown } | undefined)?.id;
}
