import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { LockService, SluiceLockModule } from 'nestjs-sluice/lock';
import { SluiceRedisModule } from 'nestjs-sluice/redis';
import { defineBench, type Row } from './bench.js';

/** What one would write by hand: a lock with an owner, a lease and a fencing token, in two scripts. */
const ACQUIRE = `
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  local token = redis.call('INCR', KEYS[2])
  redis.call('PEXPIRE', KEYS[2], 3600000)
  return token
end
return 0`;
const RELEASE = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`;

interface ByHand extends Redis {
  acquireLock(key: string, fence: string, owner: string, ttlMs: number): Promise<number>;
  releaseLock(key: string, owner: string): Promise<number>;
}

const pair: Row = {
  name: 'lock.pair',
  unit: 'ms',
  better: 'lower',
  target: '≤ 1.15 × raw',
  met: ({ sluice, raw }) => raw !== null && sluice <= 1.15 * raw,
  async measure({ redis, quick }) {
    @Module({ imports: [SluiceRedisModule.forRoot({ redis: { url: redis.url } }), SluiceLockModule.forRoot({})] })
    class App {}
    const app = await NestFactory.createApplicationContext(App, { logger: false });
    const locks = app.get(LockService);
    const client = new Redis(redis.url) as ByHand;
    client.defineCommand('acquireLock', { numberOfKeys: 2, lua: ACQUIRE });
    client.defineCommand('releaseLock', { numberOfKeys: 1, lua: RELEASE });
    const pairs = quick ? 3_000 : 10_000;
    const meanOf = (once: (i: number) => Promise<unknown>) => async (): Promise<number> => {
      const from = performance.now();
      for (let i = 0; i < pairs; i++) await once(i);
      return (performance.now() - from) / pairs;
    };
    return {
      sluice: meanOf(async (i) => (await locks.acquire(`pair:${i % 10}`)).release()),
      raw: meanOf(async (i) => {
        const key = `raw:${i % 10}`;
        const owner = `owner ${i}`;
        if ((await client.acquireLock(key, `${key}:fence`, owner, 30_000)) === 0) throw new Error('it is free');
        if ((await client.releaseLock(key, owner)) === 0) throw new Error('it is held');
      }),
      close: async () => {
        client.disconnect();
        await app.close();
      },
    };
  },
};

export default defineBench({ feature: 'lock', rows: [pair] });
