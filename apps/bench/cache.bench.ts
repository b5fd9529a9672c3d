import { Redis } from 'ioredis';
import { CacheService } from 'nestjs-sluice/cache';
import { RedisConnections } from 'nestjs-sluice/redis';
import { defineBench, type Contenders, type BenchContext, type Measure } from './bench.js';

const IN_FLIGHT = 200;
/** So many that reads of one key seldom coincide: each is a command. */
const KEYS = 5_000;

const user = (id: number) => ({
  id,
  name: 'Ada Lovelace',
  email: 'ada@example.org',
  roles: ['admin', 'ops'],
  address: { street: '12 Long Road', city: 'London', zip: 'N1 9GU' },
});

/** Hits of values in Redis, read like a user's record in a request. */
async function redisHit({ redis, quick }: BenchContext): Promise<Contenders> {
  const connections = await new RedisConnections({ namespace: 'bench', redis: { url: redis.url } }).open();
  const cache = new CacheService(connections, {});
  const client = new Redis(redis.url);
  const ids = Array.from({ length: KEYS }, (_, id) => id);
  await Promise.all(ids.map((id) => cache.set(`user:${id}`, user(id))));
  await Promise.all(ids.map((id) => client.set(`user:${id}`, JSON.stringify(user(id)))));

  const missed = (): never => {
    throw new Error('a miss');
  };
  const reads = quick ? 50_000 : 200_000;
  const perSecond =
    (read: (key: string) => Promise<unknown>): Measure =>
    async () => {
      let next = 0;
      const reader = async (): Promise<void> => {
        while (next < reads) await read(`user:${next++ % KEYS}`);
      };
      const started = performance.now();
      await Promise.all(Array.from({ length: IN_FLIGHT }, reader));
      return (reads / (performance.now() - started)) * 1_000;
    };
  return {
    sluice: perSecond((key) => cache.getOrLoad(key, missed)),
    raw: perSecond(async (key) => JSON.parse((await client.get(key)) ?? missed()) as unknown),
    close: async () => {
      client.disconnect();
      await connections.onApplicationShutdown();
    },
  };
}

export default defineBench({
  feature: 'cache',
  rows: [
    {
      name: 'cache.redisHit',
      unit: 'hits/s',
      better: 'higher',
      target: '≥ 0.85 × raw',
      met: ({ sluice, raw }) => raw !== null && sluice >= 0.85 * raw,
      measure: redisHit,
    },
  ],
});
