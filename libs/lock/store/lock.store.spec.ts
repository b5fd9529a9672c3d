import { afterAll, afterEach, beforeAll } from '@jest/globals';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { describeLockStore } from '../../../test/support/describe-lock-store.js';
import { until } from '../../../test/support/until.js';
import { REDIS_CONNECTIONS, SluiceRedisModule, type RedisConnections } from '../../redis/index.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { LockStore } from './lock.store.js';

let redis: RedisServer;
let app: INestApplicationContext;

beforeAll(async () => {
  redis = await startRedis();
});
afterEach(() => app.close());
afterAll(() => redis.stop());

describeLockStore('Redis', async () => {
  const module = SluiceRedisModule.forRoot({ redis: { url: redis.url } });
  app = await NestFactory.createApplicationContext(module, { logger: false, abortOnError: false });
  const connections = app.get<RedisConnections>(REDIS_CONNECTIONS);
  const { keyspace, processId } = connections;
  const connection = connections.get();
  await connection.commands.send('flushall');
  const { channel } = connection.inbox;
  const heard = async (): Promise<unknown> =>
    (await connection.commands.send<unknown[]>('pubsub', ['numsub', channel]))[1];
  await until(async () => (await heard()) === 1, { what: 'the inbox is subscribed' });
  return { store: new LockStore(connection, keyspace), keyspace, processId };
});
