import { defineBench } from './bench.js';
import { hitsCurve } from './cache.curves.js';
import { localHit, redisHit, SPLITS } from './cache.hits.js';
import { loads } from './cache.loads.js';
import { SPLITS as WAKE_SPLITS, wake } from './cache.wake.js';
import { busyTrace, SEED, trace } from './cache.trace.js';
import { CACHE_SETTINGS } from './peers/caches.js';

export default defineBench({
  feature: 'cache',
  peers: CACHE_SETTINGS,
  curves: [hitsCurve],
  rows: [
    {
      figures: [
        {
          name: 'cache.loads',
          unit: 'loads',
          better: 'lower',
          target: '1',
          met: ({ sluice }) => sluice === 1,
        },
      ],
      rounds: 3,
      warmUp: false,
      measure: loads,
    },
    {
      figures: [
        {
          name: 'cache.coldTrace',
          unit: 's',
          better: 'lower',
          target: `≤ 0.8 × bentocache (seed ${SEED})`,
          met: ({ sluice, peers }) => sluice <= 0.8 * (peers['bentocache'] ?? 0),
        },
        {
          name: 'cache.coldTraceLoads',
          unit: 'loads per key',
          better: 'lower',
          target: '1',
          met: ({ sluice }) => sluice === 1,
        },
      ],
      rounds: 3,
      measure: trace,
    },
    {
      figures: [
        { name: 'cache.coldTraceBusy', unit: 's', better: 'lower', target: 'none: beside four busy loops' },
        {
          name: 'cache.coldTraceBusyLoads',
          unit: 'loads per key',
          better: 'lower',
          target: '1, beside four busy loops',
          met: ({ sluice }) => sluice === 1,
        },
      ],
      rounds: 3,
      measure: busyTrace,
    },
    {
      figures: [
        {
          name: 'cache.localHit',
          unit: 'hits/s',
          better: 'higher',
          target: '≥ 1.25 × the best peer',
          met: ({ sluice, peers }) => sluice >= 1.25 * Math.max(...Object.values(peers)),
        },
      ],
      splits: SPLITS,
      measure: localHit,
    },
    {
      figures: [
        {
          name: 'cache.redisHit',
          unit: 'hits/s',
          better: 'higher',
          target: '≥ 0.85 × raw',
          met: ({ sluice, raw }) => sluice >= 0.85 * (raw ?? Infinity),
        },
      ],
      splits: SPLITS,
      measure: redisHit,
    },
    {
      figures: [
        {
          name: 'cache.wakeP99',
          unit: 'ms',
          better: 'lower',
          target: '≤ 1.5 × raw',
          met: ({ sluice, raw }) => sluice <= 1.5 * (raw ?? 0),
        },
      ],
      splits: WAKE_SPLITS,
      quantile: 0.99,
      measure: wake,
    },
  ],
});
