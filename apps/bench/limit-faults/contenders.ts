/** What is compared, each as its own documentation lays it out. */
import { Redis } from 'ioredis';
import { RateLimitService, defineRateLimit } from 'nestjs-sluice';
import { SluiceThrottlerStorage } from 'nestjs-sluice/throttler';
import { startApp } from '../app.js';
import { peer } from '../peer.js';
import {
  nestLabStorage,
  nestjsRedisStorage,
  type LimitNumbers,
  type Limiter,
  type StartedStorage,
} from '../peers/limiters.js';

/** A limiter that can also forget a key. */
export interface ResettableLimiter extends Limiter {
  reset?(key: string): Promise<unknown>;
}

/** A column of the table. */
export interface Column {
  name: string;
  /** The npm package. */
  package: string;
  settings: string;
  /** Calls may cost several units. */
  weights: boolean;
  start(url: string, numbers: LimitNumbers): Promise<ResettableLimiter>;
  /** A storage for `@nestjs/throttler`. */
  storage?(url: string): Promise<StartedStorage>;
}

async function sluice(url: string, numbers: LimitNumbers): Promise<ResettableLimiter> {
  const app = await startApp(url);
  const limits = app.get(RateLimitService);
  const definition = defineRateLimit('fault', numbers);
  return {
    hit: async (key, cost = 1) => (await limits.consume(definition, key, { cost })).allowed,
    reset: (key) => limits.reset(definition, key),
    close: () => app.close(),
  };
}

async function sluiceStorage(url: string): Promise<StartedStorage> {
  const app = await startApp(url);
  return { storage: new SluiceThrottlerStorage(app.get(RateLimitService)), close: () => app.close() };
}

interface FlexibleLimiter {
  consume(key: string, points: number): Promise<unknown>;
  delete(key: string): Promise<unknown>;
}

interface Flexible {
  RateLimiterRedis: new (options: object) => FlexibleLimiter;
}

/** Its answer to a refusal is a rejection with a result, which is no error. */
export const isRefusal = (rejected: unknown): boolean => !(rejected instanceof Error);

async function flexible(url: string, { limit, perMs }: LimitNumbers): Promise<ResettableLimiter> {
  const { RateLimiterRedis } = (await peer('rate-limiter-flexible')) as Flexible;
  const storeClient = new Redis(url);
  const limiter = new RateLimiterRedis({
    storeClient,
    points: limit,
    duration: perMs / 1_000,
    inMemoryBlockOnConsumed: limit + 1,
  });
  return {
    hit: async (key, units = 1) => {
      try {
        await limiter.consume(key, units);
        return true;
      } catch (refused) {
        if (!isRefusal(refused)) throw refused;
        return false;
      }
    },
    reset: (key) => limiter.delete(key),
    close: async () => {
      storeClient.disconnect();
      await Promise.resolve();
    },
  };
}

/** As the guard of `@nestjs/throttler` calls a storage, with `blockDuration` = `ttl`, which is its default. */
function ofStorage(start: (url: string) => Promise<StartedStorage>): Column['start'] {
  return async (url, { limit, perMs }) => {
    const { storage, close } = await start(url);
    return { hit: async (key) => !(await storage.increment(key, perMs, limit, perMs, 'default')).isBlocked, close };
  };
}

export const COLUMNS: readonly Column[] = [
  {
    name: 'Sluice',
    package: 'nestjs-sluice',
    settings:
      'defaults; `RateLimitGuard` instead of the guard of `@nestjs/throttler`; row F with `SluiceThrottlerStorage`',
    weights: true,
    start: sluice,
    storage: sluiceStorage,
  },
  {
    name: 'rate-limiter-flexible',
    package: 'rate-limiter-flexible',
    settings: '`RateLimiterRedis` on ioredis with `inMemoryBlockOnConsumed`, as its wiki advises against floods',
    weights: true,
    start: flexible,
  },
  {
    name: '@nest-lab/throttler-storage-redis',
    package: '@nest-lab/throttler-storage-redis',
    settings: 'on ioredis, as `@nestjs/throttler` 6.7.1 calls it, `blockDuration` = `ttl`, which is the default',
    weights: false,
    start: ofStorage(nestLabStorage),
    storage: nestLabStorage,
  },
  {
    name: '@nestjs-redis/throttler-storage',
    package: '@nestjs-redis/throttler-storage',
    settings: 'the same on node-redis, which it requires',
    weights: false,
    start: ofStorage(nestjsRedisStorage),
    storage: nestjsRedisStorage,
  },
];
