import { Redis } from 'ioredis';
import { CacheService } from 'nestjs-sluice';
import { startApp } from './app.js';
import type { Curve, Series } from './bench.js';
import { inFlight } from './raw-queue.js';

const KEYS = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
const IN_FLIGHT = 200;

/** Hits over more and more keys, read at random: what a process can keep is soon exceeded. */
export const hitsCurve: Curve = {
  name: 'cache-hits',
  title: 'Cache hits over keys read at random, 200 in flight',
  x: 'keys',
  y: 'hits per second',
  async measure({ redis, quick }) {
    const app = await startApp(redis.url);
    const cache = app.get(CacheService);
    const client = new Redis(redis.url, { enableAutoPipelining: true });
    const series: Series = { 'Sluice, at its defaults': [], 'GET and JSON.parse': [] };
    const reads = quick ? 20_000 : 100_000;
    const missed = (): never => {
      throw new Error('a miss');
    };
    let filled = 0;
    try {
      for (const keys of quick ? KEYS.slice(0, 5) : KEYS) {
        await inFlight(keys - filled, IN_FLIGHT, async () => {
          const id = filled++;
          await cache.set(`k:${id}`, { id }, { ttlMs: 3_600_000 });
          await client.set(`k:${id}`, JSON.stringify({ id }));
        });
        const perSecond = async (hit: (key: string) => Promise<unknown>): Promise<number> => {
          const read = (): Promise<unknown> => hit(`k:${Math.floor(Math.random() * keys)}`);
          await inFlight(reads / 4, IN_FLIGHT, read);
          const from = performance.now();
          await inFlight(reads, IN_FLIGHT, read);
          return (reads / (performance.now() - from)) * 1_000;
        };
        const ours = await perSecond((key) => cache.getOrLoad(key, missed));
        const bare = await perSecond(async (key) => JSON.parse((await client.get(key)) ?? missed()) as unknown);
        series['Sluice, at its defaults']?.push([keys, ours]);
        series['GET and JSON.parse']?.push([keys, bare]);
      }
      return series;
    } finally {
      client.disconnect();
      await app.close();
    }
  },
};
