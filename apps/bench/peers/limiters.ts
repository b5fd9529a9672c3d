/** Rate limiters, each behind one verb. */
import { Redis } from 'ioredis';
import { peer, type PeerSettings } from '../peer.js';

export interface LimitNumbers {
  limit: number;
  perMs: number;
}

export interface Limiter {
  /** Charges one unit, or several where the library knows weights. Whether the call may go on. */
  hit(key: string, units?: number): Promise<boolean>;
  close(): Promise<void>;
}

export const LIMIT_PEERS = {
  'rate-limiter-flexible': flexible,
  '@nest-lab/throttler-storage-redis': nestLab,
  '@nestjs-redis/throttler-storage': nestjsRedis,
} satisfies Record<string, (url: string, numbers: LimitNumbers) => Promise<Limiter>>;

export type LimitPeerName = keyof typeof LIMIT_PEERS;

const STORAGE = 'as ThrottlerGuard calls it, blockDuration = ttl, which is its default';

export const LIMIT_SETTINGS: readonly PeerSettings[] = [
  {
    name: 'rate-limiter-flexible',
    settings: 'RateLimiterRedis on ioredis, inMemoryBlockOnConsumed, as its wiki advises against floods',
  },
  { name: '@nest-lab/throttler-storage-redis', settings: STORAGE },
  { name: '@nestjs-redis/throttler-storage', settings: `${STORAGE}; node-redis, which it requires` },
  { name: '@nestjs/throttler', settings: 'its guard, with the first of these storages' },
  { name: 'bottleneck', settings: 'clustering on ioredis, minTime = window / limit' },
];

interface Flexible {
  RateLimiterRedis: new (options: object) => { consume(key: string, points: number): Promise<unknown> };
}

async function flexible(url: string, { limit, perMs }: LimitNumbers): Promise<Limiter> {
  const { RateLimiterRedis } = (await peer('rate-limiter-flexible')) as Flexible;
  const storeClient = new Redis(url);
  const limiter = new RateLimiterRedis({
    storeClient,
    points: limit,
    duration: perMs / 1_000,
    inMemoryBlockOnConsumed: limit,
  });
  return {
    hit: (key, units = 1) =>
      limiter.consume(key, units).then(
        () => true,
        (refused: unknown) => {
          // It rejects with its answer, which is no error.
          if (refused instanceof Error) throw refused;
          return false;
        },
      ),
    close: async () => {
      await storeClient.quit();
    },
  };
}

/** What `ThrottlerGuard` asks of a storage. */
export interface ThrottlerStorage {
  increment(
    key: string,
    ttl: number,
    limit: number,
    blockDuration: number,
    throttlerName: string,
  ): Promise<{ totalHits: number; isBlocked: boolean; timeToBlockExpire: number }>;
}

interface NestLab {
  ThrottlerStorageRedisService: new (client: Redis) => ThrottlerStorage;
}

/** A storage and what closes its client. */
export interface StartedStorage {
  storage: ThrottlerStorage;
  close: () => Promise<void>;
}

export async function nestLabStorage(url: string): Promise<StartedStorage> {
  const { ThrottlerStorageRedisService } = (await peer('@nest-lab/throttler-storage-redis')) as NestLab;
  const { Redis: Own } = (await peer('ioredis')) as { Redis: typeof Redis };
  const client = new Own(url);
  return {
    storage: new ThrottlerStorageRedisService(client),
    close: async () => {
      await client.quit();
    },
  };
}

interface NodeRedis {
  on(event: 'error', listener: () => void): void;
  connect(): Promise<unknown>;
  close(): Promise<void>;
}

interface NestjsRedis {
  RedisThrottlerStorage: new (client: NodeRedis) => ThrottlerStorage;
}

export async function nestjsRedisStorage(url: string): Promise<StartedStorage> {
  const { createClient } = (await peer('redis')) as { createClient: (options: { url: string }) => NodeRedis };
  const { RedisThrottlerStorage } = (await peer('@nestjs-redis/throttler-storage')) as NestjsRedis;
  const client = createClient({ url });
  client.on('error', () => {});
  await client.connect();
  return { storage: new RedisThrottlerStorage(client), close: () => client.close() };
}

function nestLab(url: string, numbers: LimitNumbers): Promise<Limiter> {
  return ofStorage(nestLabStorage(url), numbers);
}

function nestjsRedis(url: string, numbers: LimitNumbers): Promise<Limiter> {
  return ofStorage(nestjsRedisStorage(url), numbers);
}

async function ofStorage(started: Promise<StartedStorage>, { limit, perMs }: LimitNumbers): Promise<Limiter> {
  const { storage, close } = await started;
  return {
    hit: async (key) => !(await storage.increment(key, perMs, limit, perMs, 'default')).isBlocked,
    close,
  };
}
