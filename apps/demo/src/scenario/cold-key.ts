import { CATEGORIES } from '../launcher/seed.js';
import { get } from '../launcher/requests.js';
import type { Fleet } from '../launcher/fleet.js';
import type { Stats } from '../stats/stats.controller.js';
import { equal, type Step } from './step.js';

const REQUESTS = 100;

export interface ColdKeyFigures {
  requests: number;
  /** Requests that were answered with the list, the same for all. */
  answered: number;
  /** How often the database was asked for it. */
  queries: number;
  medianMs: number;
  slowestMs: number;
}

/** 100 requests at once over three processes for a key that is in no cache. */
export const coldKey: Step<ColdKeyFigures> = {
  title: 'A cold cache key: @CacheStampedeSafe',
  shows: `${REQUESTS} requests at once, over all processes, for a list that is in no cache and that Postgres computes from a year of sales.`,

  async play({ fleet }) {
    const queriesBefore = await queries(fleet);
    const replies = await Promise.all(
      Array.from({ length: REQUESTS }, (_, turn) => get(`${fleet.url(turn)}/categories/${CATEGORIES}/bestsellers`)),
    );
    const times = replies.map((reply) => reply.tookMs).sort((a, b) => a - b);
    const lists = replies.filter(({ status, body }) => status === 200 && Array.isArray(body) && body.length === 10);
    const first = JSON.stringify(lists[0]?.body);
    return {
      requests: REQUESTS,
      answered: lists.filter(({ body }) => JSON.stringify(body) === first).length,
      queries: (await queries(fleet)) - queriesBefore,
      medianMs: times[REQUESTS / 2] ?? 0,
      slowestMs: times[REQUESTS - 1] ?? 0,
    };
  },

  judge: ({ requests, answered, queries }) => [
    equal('every request is answered', requests, answered),
    equal('the database is asked once', 1, queries),
  ],

  rows: ({ requests, queries, medianMs, slowestMs }) => [
    ['requests', requests],
    ['queries', queries],
    ['median latency', `${medianMs} ms`],
    ['slowest', `${slowestMs} ms`],
  ],
};

async function queries(fleet: Fleet): Promise<number> {
  const stats = await Promise.all(
    fleet.apps.map(async ({ name, url }) => {
      const { status, body } = await get(`${url}/stats`);
      if (status !== 200) throw new Error(`${name} does not tell its figures: status ${status}, ${String(body)}`);
      return body as Stats;
    }),
  );
  return stats.reduce((sum, each) => sum + (each.queries['bestsellers'] ?? 0), 0);
}
