import type { Label } from '../launcher/gateway.js';
import { post } from '../launcher/requests.js';
import { atMost, equal, type Step } from './step.js';

const BACKLOG = 300;
const EXPRESS = 20;

export interface ParcelsFigures {
  /** Labels that the carrier has made. */
  backlog: number;
  express: number;
  /** Parcels of the backlog that got theirs while an express parcel waited in the same process. */
  ahead: number;
  /** From the request for the express parcels to their last label. */
  expressMs: number;
  /** From the same moment to the last label. */
  allMs: number;
}

/** Express parcels come in when a backlog is worked on. They get their labels first, and the backlog gets its own too. */
export const parcels: Step<ParcelsFigures> = {
  title: 'Parcels: priorities',
  shows: `${BACKLOG} parcels wait for their labels when ${EXPRESS} come in that leave today.`,

  async play({ fleet, gateway, until }) {
    const { labels } = gateway;
    const orders = Array.from({ length: BACKLOG + EXPRESS }, (_, i) => i);
    await post(`${fleet.url(0)}/parcels`, { orderIds: orders.slice(EXPRESS), express: false });
    await until(() => labels.size > 0);
    const started = performance.now();
    await post(`${fleet.url(1)}/parcels`, { orderIds: orders.slice(0, EXPRESS), express: true });
    const accepted = labels.size;
    await until(() => labels.size >= orders.length);
    const made = [...labels.values()];
    const express = made.filter(isExpress).length;
    return {
      backlog: made.length - express,
      express,
      ahead: aheadOfExpress(made.slice(accepted)),
      expressMs: Math.round((made.findLast(isExpress)?.at ?? 0) - started),
      allMs: Math.round((made.at(-1)?.at ?? 0) - started),
    };
  },

  judge: ({ backlog, express, ahead }) => [
    equal('express parcels with a label', EXPRESS, express),
    equal('parcels of the backlog with a label', BACKLOG, backlog),
    // In the order of their publication it would be nearly all. Each process has begun, or holds ready, some of them.
    atMost('parcels of the backlog ahead of the last express parcel', (BACKLOG * 2) / 3, ahead),
  ],

  rows: ({ express, backlog, ahead, expressMs, allMs }) => [
    ['express', `${express} after ${expressMs} ms`],
    ['backlog', `${backlog} after ${allMs} ms`],
    ['of it meanwhile', ahead],
  ],
};

const isExpress = ({ orderId }: Label): boolean => orderId < EXPRESS;

/** Levels are of each process. A process that the machine keeps waiting holds its express parcels up, and the others go on with the backlog. */
function aheadOfExpress(made: readonly Label[]): number {
  const last = new Map<string, number>();
  for (const [at, label] of made.entries()) if (isExpress(label)) last.set(label.by, at);
  return made.filter((label, at) => !isExpress(label) && at < (last.get(label.by) ?? 0)).length;
}
