/** Hits: in the process' memory, one after the other, and in Redis, many in flight. */
import { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { CacheService } from 'nestjs-sluice';
import { startApp } from './app.js';
import type { BenchContext, Contenders, Measure } from './bench.js';
import { CACHE_PEERS, type CachePeer, type Tiers } from './peers/caches.js';

const IN_FLIGHT = 200;

/** Rounds of a fraction of a second. */
export const SPLITS = 5;

/** So many that reads of one key seldom coincide: each is a command. */
const KEYS = 5_000;

/** A user's record, as a request reads it. */
const user = (id: number) => ({
  id,
  name: 'Ada Lovelace',
  email: 'ada@example.org',
  roles: ['admin', 'ops'],
  address: { street: '12 Long Road', city: 'London', zip: 'N1 9GU' },
});

/** Longer than a row takes on the slowest machine: a key that expires meanwhile would be a miss. */
const TTL_MS = 600_000;

const missed = (): never => {
  throw new Error('a miss');
};

/** One read after the other is awaited, of a hundred keys. */
export async function localHit({ redis, quick }: BenchContext): Promise<Contenders> {
  const app = await startApp(redis.url, { cache: { ttlMs: TTL_MS } });
  const cache = app.get(CacheService);
  const memory = new LRUCache<string, object>({ max: 10_000 });
  const keys = Array.from({ length: 100 }, (_, id) => `local:${id}`);
  for (const [id, key] of keys.entries()) {
    memory.set(key, user(id));
    await cache.getOrLoad(key, () => user(id));
  }
  const read = (key: string): Promise<unknown> => Promise.resolve(memory.get(key) ?? missed());
  const reads = quick ? 20_000 : 60_000;
  const perSecond =
    (hit: (key: string) => Promise<unknown>): Measure =>
    async () => {
      const from = performance.now();
      for (let i = 0; i < reads; i++) await hit(keys[i % keys.length] ?? '');
      return (reads / (performance.now() - from)) * 1_000;
    };
  return contenders(redis.url, 'memory', keys, perSecond, {
    sluice: perSecond((key) => cache.getOrLoad(key, missed)),
    // Bare: a lookup behind an async function.
    raw: perSecond(async (key) => read(key)),
    close: () => app.close(),
  });
}

/** 200 reads in flight at any time. */
export async function redisHit({ redis, quick }: BenchContext): Promise<Contenders> {
  // Without copies in the process: they are the row above.
  const app = await startApp(redis.url, { cache: { local: false, ttlMs: TTL_MS } });
  const cache = app.get(CacheService);
  // One write for many commands, as whoever reads this much would have it.
  const client = new Redis(redis.url, { enableAutoPipelining: true });
  const keys = Array.from({ length: KEYS }, (_, id) => `user:${id}`);
  await Promise.all(keys.map((key, id) => cache.set(key, user(id))));
  await Promise.all(keys.map((key, id) => client.set(key, JSON.stringify(user(id)))));
  const reads = quick ? 5_000 : 30_000;
  const perSecond =
    (hit: (key: string) => Promise<unknown>): Measure =>
    async () => {
      let next = 0;
      const reader = async (): Promise<void> => {
        while (next < reads) await hit(keys[next++ % KEYS] ?? '');
      };
      const from = performance.now();
      await Promise.all(Array.from({ length: IN_FLIGHT }, reader));
      return (reads / (performance.now() - from)) * 1_000;
    };
  return contenders(redis.url, 'redis', keys, perSecond, {
    sluice: perSecond((key) => cache.getOrLoad(key, missed)),
    raw: perSecond(async (key) => JSON.parse((await client.get(key)) ?? missed()) as unknown),
    close: async () => {
      client.disconnect();
      await app.close();
    },
  });
}

/** Adds the peers, each warmed with the same values. */
async function contenders(
  url: string,
  tiers: Tiers,
  keys: readonly string[],
  measure: (hit: (key: string) => Promise<unknown>) => Measure,
  ours: Contenders,
): Promise<Contenders> {
  const started: CachePeer[] = [];
  const peers: Record<string, Measure> = {};
  for (const [name, start] of Object.entries(CACHE_PEERS)) {
    const peer = await start(url, tiers);
    started.push(peer);
    await Promise.all(keys.map((key, id) => peer.getOrLoad(`${name}:${key}`, () => user(id))));
    peers[name] = measure((key) => peer.getOrLoad(`${name}:${key}`, missed));
  }
  return {
    ...ours,
    peers,
    close: async () => {
      await Promise.all(started.map((peer) => peer.close()));
      await ours.close?.();
    },
  };
}
