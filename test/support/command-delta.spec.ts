import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { commandDelta } from './command-delta.js';

let redis: RedisServer;
let client: Redis;
beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
  await client.set('a', '1');
});
afterAll(async () => {
  await client.quit();
  await redis.stop();
});

it('counts nothing when nothing runs', async () => {
  expect(await commandDelta(client, () => 'done')).toEqual({ result: 'done', calls: {}, usec: {}, total: 0 });
});

it('counts what runs between, the inner calls of a script and INFO included, PING left out', async () => {
  const delta = await commandDelta(client, async () => {
    await client.set('a', '2');
    await client.eval("redis.call('get', 'a') return redis.call('get', 'a')", 0);
    await client.info('server');
    await client.ping();
    return client.config('GET', 'port');
  });
  expect(delta.calls).toEqual({ set: 1, eval: 1, get: 2, info: 1, 'config|get': 1 });
  expect(delta.total).toBe(6);
  expect(delta.result).toEqual(['port', String(redis.port)]);
  expect(delta.usec['eval']).toBeGreaterThan(0);
});
