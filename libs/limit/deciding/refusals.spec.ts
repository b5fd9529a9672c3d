import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { until } from '../../../test/support/until.js';
import { SluiceRedisModule } from '../../redis/index.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { RateLimitService, SluiceLimitModule, defineRateLimit } from '../index.js';

const login = defineRateLimit('login', { limit: 8, perMs: 60_000 });

let redis: RedisServer;
let admin: Redis;
let app: TestingModule;
let limits: RateLimitService;
beforeEach(async () => {
  redis = await startRedis({ slotChecks: false, users: { app: 'on >secret ~* &* +@all' } });
  admin = new Redis(redis.url);
  const url = redis.url.replace('//', '//app:secret@');
  const imports = [SluiceRedisModule.forRoot({ redis: { url } }), SluiceLimitModule.forRoot()];
  app = await Test.createTestingModule({ imports }).compile();
  await app.init();
  limits = app.get(RateLimitService);
});
afterEach(async () => {
  await app.close();
  admin.disconnect();
  await redis.stop();
});

const decidedBy = async (): Promise<string> => (await limits.consume(login, 'k')).decidedBy;

describe('a server that refuses for the moment', () => {
  it.each<[string, () => Promise<unknown>, () => Promise<unknown>]>([
    ['OOM', () => admin.config('SET', 'maxmemory', '1'), () => admin.config('SET', 'maxmemory', '0')],
    ['READONLY', () => admin.replicaof('127.0.0.1', 1), () => admin.call('REPLICAOF', 'NO', 'ONE')],
    [
      'NOREPLICAS',
      () => admin.config('SET', 'min-replicas-to-write', '1'),
      () => admin.config('SET', 'min-replicas-to-write', '0'),
    ],
    ['NOPERM', () => admin.acl('SETUSER', 'app', '-set'), () => admin.acl('SETUSER', 'app', '+set')],
  ])(
    '%s: the process enforces its share, then Redis decides again, and knows what was charged before',
    async (_, refuse, allow) => {
      expect(await limits.consume(login, 'k')).toMatchObject({ decidedBy: 'redis', remaining: 7 });
      await refuse();
      await until(async () => (await decidedBy()) === 'local', { what: 'the process decides' });
      await allow();
      const last = await until(
        async () => {
          const decision = await limits.peek(login, 'k').catch(() => undefined);
          return decision?.decidedBy === 'redis' && decision;
        },
        { what: 'Redis decides again' },
      );
      expect(last.remaining).toBeLessThanOrEqual(7);
    },
  );
});

it('a server that lost everything counts anew', async () => {
  for (let call = 0; call < 3; call++) await limits.consume(login, 'k');
  await admin.flushall();
  expect(await limits.consume(login, 'k')).toMatchObject({ decidedBy: 'redis', remaining: 7 });
});

it('a process that is killed has charged what it was granted, and nothing more', async () => {
  await limits.consume(login, 'k', { cost: 3 });
  await app.close();
  const imports = [SluiceRedisModule.forRoot({ redis: { url: redis.url } }), SluiceLimitModule.forRoot()];
  app = await Test.createTestingModule({ imports }).compile();
  await app.init();
  expect((await app.get(RateLimitService).peek(login, 'k')).remaining).toBe(5);
});
