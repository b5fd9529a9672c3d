import { afterAll, beforeAll } from '@jest/globals';
import { Redis } from 'ioredis';
import { describeDecoratorMatrix } from '../../test/support/decorator-matrix.js';
import { REDIS_CONNECTIONS, SluiceRedisModule, type RedisConnections } from '../redis/index.js';
import { startRedis, type RedisServer } from '../testing/index.js';
import { CacheStampedeSafe } from './cache-stampede-safe.decorator.js';
import { SluiceCacheModule } from './cache.module.js';

let redis: RedisServer;
let admin: Redis;
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

let apps = 0;

describeDecoratorMatrix({
  name: '@CacheStampedeSafe',
  decorate: (key) => CacheStampedeSafe({ key: (word: string) => `${key}:${word}`, errorBackoffMs: 60_000 }),
  imports: () => [
    SluiceRedisModule.forRoot({ namespace: `app${++apps}`, redis: { url: redis.url } }),
    SluiceCacheModule.forRoot({}),
  ],
  // Every call of the matrix has a word of its own, and leaves a value or an error under it.
  callsTaken: async (app) => {
    const { namespace } = app.get<RedisConnections>(REDIS_CONNECTIONS).keyspace;
    return (await admin.keys(`{${String(namespace)}:cache}*`)).length;
  },
});
