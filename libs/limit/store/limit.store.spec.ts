import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { commandDelta } from '../../../test/support/command-delta.js';
import { isRefused } from '../../../test/support/refused-commands.js';
import { until } from '../../../test/support/until.js';
import { SluiceRedisModule } from '../../redis/index.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { RateLimitService, SluiceLimitModule, defineRateLimit, type RateLimitDecision } from '../index.js';

let redis: RedisServer;
let admin: Redis;
const apps: TestingModule[] = [];
let limits: RateLimitService;
let other: RateLimitService;

async function boot(): Promise<RateLimitService> {
  const imports = [
    SluiceRedisModule.forRoot({ namespace: 'shop', redis: { url: redis.url } }),
    SluiceLimitModule.forRoot(),
  ];
  const app = await Test.createTestingModule({ imports }).compile();
  apps.push(app);
  await app.init();
  return app.get(RateLimitService);
}

beforeAll(async () => {
  // In cluster mode, the boot has to know who owns the slots.
  redis = await startRedis({ slotChecks: !isRefused('cluster|nodes') });
  admin = new Redis(redis.url);
  [limits, other] = [await boot(), await boot()];
});
afterAll(async () => {
  await Promise.all(apps.map((app) => app.close()));
  admin.disconnect();
  await redis.stop();
});
beforeEach(async () => {
  await admin.flushall();
  // Both have counted the processes, which they do once a minute, and Redis knows the script.
  for (const each of [limits, other]) await each.consume(large, 'warm');
});

const large = defineRateLimit('large', { limit: 1_000, perMs: 60_000 });
const small = defineRateLimit('small', { limit: 2, perMs: 60_000 });
const three = defineRateLimit('three', {
  limits: {
    burst: { limit: 10, perMs: 30_000 },
    minute: { limit: 100, perMs: 60_000 },
    day: { limit: 1_000, window: 'day' },
  },
});

const arrived = async (): Promise<number> => {
  return Number(/evalsha:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1] ?? 0);
};

const evals = async (work: () => Promise<unknown>): Promise<number> => {
  const { calls } = await commandDelta(admin, work);
  return (calls['evalsha'] ?? 0) + (calls['eval'] ?? 0);
};

it('a refusal that came before units were given back is forgotten', async () => {
  const one = defineRateLimit('one', { limit: 1, perMs: 60_000 });
  const reserved = await limits.reserve(one, 'k', 1);
  // The server knows the script that decides, and not the one that gives back, which is sent again.
  await admin.script('FLUSH');
  await limits.consume(large, 'warm');
  const cancelled = reserved.cancel();
  expect((await limits.consume(one, 'k')).allowed).toBe(false);
  await cancelled;
  expect((await limits.consume(one, 'k')).allowed).toBe(true);
});

describe('what is sent to Redis', () => {
  it('is one script for all calls of a turn on one key', async () => {
    const ask = () => Promise.all(Array.from({ length: 1_000 }, () => limits.consume(large, 'hot')));
    let decisions: RateLimitDecision[] = [];
    expect(await evals(async () => (decisions = await ask()))).toBe(1);
    expect(decisions.map(({ remaining }) => remaining)).toEqual(Array.from({ length: 1_000 }, (_, i) => 999 - i));
  });

  it('is one script for several limits', async () => {
    expect(await evals(() => limits.consume(three, 'k'))).toBe(1);
    const keys = (await admin.keys('*')).filter((key) => key.includes('three'));
    expect(keys.map((key) => key.replace(/rl:[\w-]{22}/, 'rl:<hash>')).sort()).toEqual([
      '{shop:rl:<hash>}:three.burst',
      '{shop:rl:<hash>}:three.day',
      '{shop:rl:<hash>}:three.minute',
    ]);
    for (const key of keys) expect(await admin.pttl(key)).toBeGreaterThan(0);
  });

  it('is nothing for a key that was refused within the last second', async () => {
    await limits.consume(small, 'k', { cost: 2 });
    const first = await limits.consume(small, 'k');
    const flood = () => Promise.all(Array.from({ length: 10_000 }, () => limits.consume(small, 'k')));
    const { result, calls } = await commandDelta(admin, flood);
    // More than one if this takes a second.
    expect(calls['evalsha'] ?? 0).toBeLessThan(30);
    expect(result.every(({ allowed }) => !allowed)).toBe(true);
    expect(result[0]?.retryAfterMs).toBeLessThanOrEqual(first.retryAfterMs);
    expect(limits.stats().names.find(({ name }) => name === 'small')?.remembered).toBeGreaterThan(9_000);
  });

  it('is a question again for a smaller call, and for another key', async () => {
    await limits.consume(large, 'k', { cost: 998 });
    expect(await limits.consume(large, 'k', { cost: 5 })).toMatchObject({ allowed: false });
    expect(await limits.consume(large, 'k', { cost: 2 })).toMatchObject({ allowed: true });
    expect(await limits.consume(large, 'l', { cost: 5 })).toMatchObject({ allowed: true });
  });

  it('writes nothing for a refusal', async () => {
    await limits.consume(three, 'k', { cost: 10 });
    const state = async () => Promise.all((await admin.keys('*three*')).sort().map((key) => admin.dump(key)));
    const before = await state();
    expect(await other.consume(three, 'k')).toMatchObject({ allowed: false, violated: ['burst'] });
    expect(await state()).toEqual(before);
  });

  it('names no key as it is', async () => {
    await limits.consume(large, 'sk_live_secret');
    expect((await admin.keys('*')).join()).not.toContain('secret');
  });
});

it.each(['', '!', '! that was cut off', 'a text of somebody'])(
  'a limit is blocked whose key holds "%s"',
  async (text) => {
    await limits.consume(small, 'foreign');
    const [key] = await admin.keys('*:small');
    await admin.set(key!, text);
    await limits.block(small, 'foreign', 60_000);
    expect(await other.consume(small, 'foreign')).toMatchObject({ allowed: false });
  },
);

describe('several processes', () => {
  it('share a limit', async () => {
    expect(await limits.consume(small, 'shared')).toMatchObject({ remaining: 1 });
    expect(await other.consume(small, 'shared')).toMatchObject({ remaining: 0 });
    expect(await limits.consume(small, 'shared')).toMatchObject({ allowed: false });
  });

  it('get their turns in the order of arrival', async () => {
    const paced = defineRateLimit('paced', { limit: 10, perMs: 1_000, mode: 'pace' });
    const started: number[] = [];
    const taken: Promise<unknown>[] = [];
    for (const i of [0, 1, 2, 3, 4]) {
      const before = await arrived();
      taken.push((i % 2 === 0 ? limits : other).take(paced, 'k').then(() => started.push(i)));
      await until(async () => (await arrived()) > before, { what: 'Redis has given the turn', everyMs: 1 });
    }
    await Promise.all(taken);
    expect(started).toEqual([0, 1, 2, 3, 4]);
  });

  it('learn of a reset within a second', async () => {
    await limits.consume(small, 'reset', { cost: 2 });
    expect(await other.consume(small, 'reset')).toMatchObject({ allowed: false });
    await limits.reset(small, 'reset');
    expect(await limits.consume(small, 'reset')).toMatchObject({ allowed: true });
    const beganMs = performance.now();
    await until(async () => (await other.consume(small, 'reset')).allowed, { what: 'it is admitted', everyMs: 50 });
    expect(performance.now() - beganMs).toBeLessThan(10_000);
  });
});
