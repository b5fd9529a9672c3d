import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from 'nestjs-sluice/testing';
import { frame } from 'nestjs-sluice/redis';
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

it('counts what runs between, the inner calls of a script and INFO included, PING and proofs left out', async () => {
  const delta = await commandDelta(client, async () => {
    await client.set('a', '2');
    await client.eval("redis.call('get', 'a') return redis.call('get', 'a')", 0);
    await client.info('server');
    await client.ping();
    await client.publish('shop::~inbox:0:host:1:a', frame('redis:proof', '7'));
    await client.eval("redis.call('publish', KEYS[1], ARGV[1])", 1, 'shop::~inbox:0:host:1:a', frame('other', '7'));
    return client.config('GET', 'port');
  });
  expect(delta.calls).toEqual({ set: 1, eval: 2, get: 2, publish: 1, info: 1, 'config|get': 1 });
  expect(delta.total).toBe(8);
  expect(delta.result).toEqual(['port', String(redis.port)]);
  expect(delta.usec['eval']).toBeGreaterThan(0);
});
