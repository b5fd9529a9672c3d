/** What rate limits cost the server: commands of several limits at once, and bytes per key. */
import { Redis } from 'ioredis';
import { RateLimitService, defineRateLimit } from 'nestjs-sluice';
import { startApp } from './app.js';
import type { BenchContext, Contenders, Measure } from './bench.js';
import { callsDuring } from './monitor.js';
import { LIMIT_PEERS, nestLabStorage } from './peers/limiters.js';
import { rawLimit } from './raw-limit.js';
import { inFlight } from './raw-queue.js';

const SECOND = 1_000;
const DAY = 86_400_000;
const THREE = { second: [1_000_000, SECOND], minute: [1_000_000, 60 * SECOND], day: [1_000_000, DAY] } as const;

/** Three limits of one subject, one request after the other: milliseconds and commands per request. */
export async function three({ redis, quick }: BenchContext): Promise<Contenders> {
  const count = quick ? 300 : 2_000;
  const app = await startApp(redis.url);
  const limits = app.get(RateLimitService);
  const definition = defineRateLimit('three', {
    limits: Object.fromEntries(Object.entries(THREE).map(([name, [limit, perMs]]) => [name, { limit, perMs }])),
  });
  const started = await nestLabStorage(redis.url);
  const measure =
    (request: (key: string) => Promise<unknown>): Measure =>
    async () => {
      await request('key 0');
      const from = performance.now();
      for (let i = 0; i < count; i++) await request(`key ${i % 10}`);
      const each = (performance.now() - from) / count;
      const { sent } = await callsDuring(redis.port, 'info', async () => {
        for (let i = 0; i < 100; i++) await request(`key ${i % 10}`);
      });
      return [each, sent / 100];
    };
  return {
    sluice: measure((key) => limits.consume(definition, key)),
    peers: {
      // As its guard does: one throttler after the other.
      '@nestjs/throttler': measure(async (key) => {
        for (const [name, [limit, ttl]] of Object.entries(THREE)) {
          await started.storage.increment(`${name} ${key}`, ttl, limit, ttl, name);
        }
      }),
    },
    close: async () => {
      await started.close();
      await app.close();
    },
  };
}

/** 100 a minute, used up: bytes of the server per key. */
export const slidingBytes = bytesOf({ limit: 100, perMs: 60 * SECOND });
export const bucketBytes = bytesOf({ limit: 100, perMs: 60 * SECOND, algorithm: 'bucket' });

type Options = { limit: number; perMs: number; algorithm?: 'bucket' };

function bytesOf(options: Options): (ctx: BenchContext) => Promise<Contenders> {
  return async ({ redis, quick }) => {
    const count = quick ? 1_000 : 10_000;
    const client = new Redis(redis.url);
    const app = await startApp(redis.url);
    const limits = app.get(RateLimitService);
    const definition = defineRateLimit('api', options);
    const raw = rawLimit(redis.url, options);
    const peers = await Promise.all(
      Object.entries(LIMIT_PEERS).map(async ([name, start]) => [name, await start(redis.url, options)] as const),
    );
    const perKey =
      (hit: (key: string) => Promise<unknown>): Measure =>
      () =>
        bytesPerKey(client, count, hit);
    return {
      // Four calls: a key remembers the last ones.
      sluice: perKey(async (key) => {
        for (let i = 0; i < 4; i++) await limits.consume(definition, key, { cost: 25 });
      }),
      raw: perKey((key) => raw.hit(key, 100)),
      // The storages know no weights. A counter of 1 takes the bytes of a counter of 100.
      peers: Object.fromEntries(peers.map(([name, limiter]) => [name, perKey((key) => limiter.hit(key, 100))])),
      close: async () => {
        await Promise.all(peers.map(([, limiter]) => limiter.close()));
        await raw.close();
        await app.close();
        client.disconnect();
      },
    };
  };
}

let rounds = 0;

/** What `MEMORY USAGE` says of all keys that calls on so many subjects leave. Their expiries are not in it: about 60 bytes each. */
async function bytesPerKey(client: Redis, count: number, hit: (key: string) => Promise<unknown>): Promise<number> {
  await client.flushall();
  // Each round has names of its own, because a limiter may know from the last one who is refused, and then writes no key.
  const user = (rounds++).toString(36).padStart(4, 'u');
  let next = 0;
  await inFlight(count, 500, () => hit(`${user} ${next++}`));
  const keys = await client.keys('*');
  const sizes = await Promise.all(keys.map((key) => client.memory('USAGE', key)));
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0) / count;
}
