/** How often a cold key is loaded in the whole fleet. */
import { forkApp } from '../../test/support/fork-app.js';
import type { BenchContext, Contenders, Measure } from './bench.js';
import type { Burst, Cacher } from './cache.member.js';
import { nowMs } from './now.js';
import { CACHE_PEERS, type CachePeerName } from './peers/caches.js';

const PROCESSES = 4;
const CALLERS = 25;
const SPREAD_MS = 20;
const LOADERS_MS = [0, 1, 10, 100, 1_000, 6_000];

/** The most loads that any of the keys had, one for each duration of the loader. */
export async function loads({ redis, quick }: BenchContext): Promise<Contenders> {
  const env = { REDIS_URL: redis.url };
  const members = await Promise.all(
    Array.from({ length: PROCESSES }, () => forkApp(new URL('cache.member.js', import.meta.url), { env })),
  );
  const peers = Object.keys(CACHE_PEERS) as CachePeerName[];
  for (const cacher of ['sluice', ...peers]) await Promise.all(members.map((member) => member.call('start', cacher)));
  const durations = quick ? LOADERS_MS.filter((ms) => ms <= 100) : LOADERS_MS;
  let round = 0;
  const worst =
    (cacher: Cacher): Measure =>
    async () => {
      const prefix = `loads:${cacher}:${++round}`;
      const startAt = nowMs() + 50;
      const counts = durations.map(async (loaderMs) => {
        const burst: Burst = { key: `${prefix}:${loaderMs}`, callers: CALLERS, loaderMs, spreadMs: SPREAD_MS, startAt };
        const each = await Promise.all(members.map((member) => member.call<number>('burst', cacher, burst)));
        return each.reduce((sum, count) => sum + count);
      });
      return Math.max(...(await Promise.all(counts)));
    };
  return {
    sluice: worst('sluice'),
    peers: Object.fromEntries(peers.map((name) => [name, worst(name)])),
    close: async () => {
      await Promise.all(members.map((member) => member.kill()));
    },
  };
}
