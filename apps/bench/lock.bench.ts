import { defineBench, type Values } from './bench.js';
import { handoffCurve } from './lock.curves.js';
import { handoff } from './lock.handoff.js';
import { parallel, sequential, SPLITS } from './lock.pairs.js';
import { takeover } from './lock.takeover.js';
import { lockMemoryCurve } from './memory.curves.js';
import { LOCK_SETTINGS } from './peers/locks.js';

const belowPeers = ({ sluice, peers }: Values): boolean => Object.values(peers).every((peer) => sluice < peer);

export default defineBench({
  feature: 'lock',
  peers: LOCK_SETTINGS,
  curves: [handoffCurve, lockMemoryCurve],
  rows: [
    {
      figures: [
        {
          name: 'lock.pair',
          unit: 'ms',
          better: 'lower',
          target: '≤ 1.15 × raw, below every peer',
          met: (all) => all.sluice <= 1.15 * (all.raw ?? 0) && belowPeers(all),
        },
      ],
      splits: SPLITS,
      measure: sequential,
    },
    {
      figures: [
        {
          name: 'lock.parallel',
          unit: 'pairs/s',
          better: 'higher',
          target: '≥ 0.85 × raw',
          met: ({ sluice, raw }) => sluice >= 0.85 * (raw ?? Infinity),
        },
      ],
      splits: SPLITS,
      measure: parallel,
    },
    {
      figures: [
        {
          name: 'lock.handoffP50',
          unit: 'ms',
          better: 'lower',
          target: '≤ 1.5 × raw',
          met: ({ sluice, raw }) => sluice <= 1.5 * (raw ?? 0),
        },
        {
          name: 'lock.handoffP95',
          unit: 'ms',
          better: 'lower',
          target: '≤ 2 × raw',
          met: ({ sluice, raw }) => sluice <= 2 * (raw ?? 0),
        },
      ],
      measure: handoff,
    },
    {
      figures: [
        {
          name: 'lock.takeover',
          unit: 'ms beyond the lease',
          better: 'lower',
          target: '≤ 50 ms over a control timer',
          met: ({ sluice, raw }) => sluice <= 50 + (raw ?? 0),
        },
      ],
      warmUp: false,
      measure: takeover,
    },
  ],
});
