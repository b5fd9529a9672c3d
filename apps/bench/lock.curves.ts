import type { Curve, Series } from './bench.js';
import { startFleet } from './lock.handoff.js';
import { quantile } from './statistics.js';

const WAITERS = [2, 8, 32, 128, 512];

/** From a release to the next grant, the more wait the more it could cost. */
export const handoffCurve: Curve = {
  name: 'lock-handoff',
  title: 'Hand-off of a lock: from a release to the next grant',
  x: 'waiters, in 3 processes',
  y: 'ms',
  async measure({ redis, quick }) {
    const fleet = await startFleet(redis.url, ['sluice', 'redlock']);
    const series: Series = { 'Sluice, P50': [], 'Sluice, P95': [], 'bare PUBLISH, P50': [], 'redlock, P50': [] };
    const gapsOf = async (atLeast: number, take: () => Promise<number[]>): Promise<number[]> => {
      const gaps: number[] = [];
      while (gaps.length < atLeast) gaps.push(...(await take()));
      return gaps;
    };
    try {
      for (const waiters of quick ? WAITERS.slice(0, 3) : WAITERS) {
        const ours = await gapsOf(100, () => fleet.gaps('sluice', waiters));
        const bare = await gapsOf(100, () => fleet.chainGaps(waiters));
        const theirs = await gapsOf(10, () => fleet.gaps('redlock', waiters));
        series['Sluice, P50']?.push([waiters, quantile(ours, 0.5)]);
        series['Sluice, P95']?.push([waiters, quantile(ours, 0.95)]);
        series['bare PUBLISH, P50']?.push([waiters, quantile(bare, 0.5)]);
        series['redlock, P50']?.push([waiters, quantile(theirs, 0.5)]);
      }
      return series;
    } finally {
      await fleet.stop();
    }
  },
};
