import { defineBench, type Values } from './bench.js';
import { bucketBytes, slidingBytes, three } from './limit.costs.js';
import { pace, worstWindow } from './limit.fleet.js';
import { guard } from './limit.guard.js';
import { decide, denied, hotKey } from './limit.rates.js';
import { LIMIT_SETTINGS } from './peers/limiters.js';

const bestPeer = ({ peers }: Values): number => Math.max(...Object.values(peers));

export default defineBench({
  feature: 'limit',
  peers: LIMIT_SETTINGS,
  curves: [],
  rows: [
    {
      figures: [
        {
          name: 'limit.decide',
          unit: 'decisions/s, distinct keys',
          better: 'higher',
          target: '≥ 0.85 × raw, above every peer',
          met: (all) => all.sluice >= 0.85 * (all.raw ?? Infinity) && all.sluice > bestPeer(all),
        },
      ],
      splits: 3,
      measure: decide,
    },
    {
      figures: [
        {
          name: 'limit.hotKey',
          unit: 'decisions/s, 1,000 at once on one key',
          better: 'higher',
          target: '≥ 5 × the best peer',
          met: (all) => all.sluice >= 5 * bestPeer(all),
        },
        {
          name: 'limit.hotKeyCommands',
          unit: 'commands per decision',
          better: 'lower',
          target: '≤ 0.02',
          met: ({ sluice }) => sluice <= 0.02,
        },
      ],
      splits: 3,
      measure: hotKey,
    },
    {
      figures: [
        {
          name: 'limit.denied',
          unit: 'calls/s of a refused key',
          better: 'higher',
          target: '≥ 1,000,000',
          met: ({ sluice }) => sluice >= 1_000_000,
        },
        {
          name: 'limit.deniedCommands',
          unit: 'commands/s',
          better: 'lower',
          target: '≤ 1',
          met: ({ sluice }) => sluice <= 1,
        },
      ],
      measure: denied,
    },
    {
      figures: [
        {
          name: 'limit.three',
          unit: 'ms per request, three limits',
          better: 'lower',
          target: 'below every peer',
          met: ({ sluice, peers }) => Object.values(peers).every((peer) => sluice < peer),
        },
        {
          name: 'limit.threeCommands',
          unit: 'commands per request',
          better: 'lower',
          target: '1',
          met: ({ sluice }) => sluice === 1,
        },
      ],
      splits: 3,
      measure: three,
    },
    {
      figures: [
        {
          name: 'limit.bytesPerKey',
          unit: 'bytes, sliding window of 100',
          better: 'lower',
          target: '≤ 300',
          met: ({ sluice }) => sluice <= 300,
        },
      ],
      rounds: 3,
      warmUp: false,
      measure: slidingBytes,
    },
    {
      figures: [
        {
          name: 'limit.bytesPerBucket',
          unit: 'bytes, token bucket of 100',
          better: 'lower',
          target: '≤ 150',
          met: ({ sluice }) => sluice <= 150,
        },
      ],
      rounds: 3,
      warmUp: false,
      measure: bucketBytes,
    },
    {
      figures: [
        {
          name: 'limit.worstWindow',
          unit: '× the limit, 4 processes',
          better: 'lower',
          target: '≤ 1',
          met: ({ sluice }) => sluice <= 1,
        },
      ],
      rounds: 3,
      measure: worstWindow,
    },
    {
      figures: [
        {
          name: 'limit.pace',
          unit: 'ms, deviation of gaps at p99',
          better: 'lower',
          target: '≤ 5 ms over control timers',
          met: ({ sluice, raw }) => sluice <= 5 + (raw ?? 0),
        },
        {
          name: 'limit.paceOvertaken',
          unit: 'of 1,000 starts before an earlier call',
          better: 'lower',
          target: '≤ 1 over control timers',
          met: ({ sluice, raw }) => sluice <= 1 + (raw ?? 0),
        },
      ],
      rounds: 3,
      measure: pace,
    },
    {
      figures: [
        {
          name: 'limit.guard',
          unit: 'requests/s of a Nest route (raw: without a limit)',
          better: 'higher',
          target: 'the ratio is reported',
        },
      ],
      rounds: 3,
      measure: guard,
    },
  ],
});
