import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { RedisConnections } from '../../../libs/redis/index.js';
import { startRedis, type RedisServer } from '../../../libs/testing/index.js';

let redis: RedisServer;
let app: RedisConnections | undefined;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await app?.onApplicationShutdown();
  await redis.stop();
});

it('the sockets of Sluice log in as the restricted user, and clients of a spec have all rights', async () => {
  app = await new RedisConnections({ namespace: 'shop', redis: { url: redis.url } }).open();
  const log = await redis.ask((client) => client.client('LIST'));
  // The commands, and the subscriber. A service may refuse CLIENT SETNAME, so they may have no name.
  expect([...String(log).matchAll(/ user=restricted /g)]).toHaveLength(2);
  await expect(app.get().commands.send('config', ['GET', 'save'])).rejects.toMatchObject({ refusal: 'NOPERM' });
  const client = new Redis(redis.url);
  expect(await client.config('GET', 'save')).toEqual(['save', '']);
  client.disconnect();
});
