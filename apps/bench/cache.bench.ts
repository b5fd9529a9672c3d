import { defineBench } from './bench.js';
import { hitsCurve } from './cache.curves.js';
import { localHit, redisHit, SPLITS } from './cache.hits.js';
import { loads } from './cache.loads.js';
import { SPLITS as WAKE_SPLITS, wake } from './cache.wake.js';
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
