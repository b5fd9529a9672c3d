import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { itOnPlainRedis } from '../../../test/support/cluster-mode.js';
import { itWith } from '../../../test/support/refused-commands.js';
import { until } from '../../../test/support/until.js';
import { SluiceRedisModule } from '../../redis/index.js';
import { FaultProxy, startRedis, type RedisServer } from '../../testing/index.js';
import { RateLimitService, SluiceLimitModule, defineRateLimit, type SluiceLimitModuleOptions } from '../index.js';

let redis: RedisServer;
let admin: Redis;
const apps: TestingModule[] = [];
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
});
afterEach(async () => {
  redis.resume();
  await Promise.all(apps.splice(0).map((app) => app.close()));
  await admin.flushall();
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

async function boot(url = redis.url, options: SluiceLimitModuleOptions = {}): Promise<RateLimitService> {
  const imports = [SluiceRedisModule.forRoot({ redis: { url } }), SluiceLimitModule.forRoot(options)];
  const app = await Test.createTestingModule({ imports }).compile();
  apps.push(app);
  await app.init();
  return app.get(RateLimitService);
}

const counted = async (): Promise<number> => {
  return Number(/cmdstat_pubsub\|channels:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1] ?? 0);
};

const ask = (limits: RateLimitService, limit: ReturnType<typeof defineRateLimit>, calls: number) =>
  Promise.all(Array.from({ length: calls }, () => limits.consume(limit, 'k')));

describe('while Redis does not answer', () => {
  const login = defineRateLimit('login', { limit: 8, perMs: 60_000 });

  it('a process enforces a quarter of the limit, if it never knew how many there are', async () => {
    const limits = await boot();
    redis.pause();
    const beganMs = performance.now();
    const decisions = await ask(limits, login, 3);
    // Ten times the limit of 250 ms.
    expect(performance.now() - beganMs).toBeLessThan(2_500);
    expect(decisions.map(({ allowed, decidedBy }) => [allowed, decidedBy])).toEqual([
      [true, 'local'],
      [true, 'local'],
      [false, 'local'],
    ]);
    expect(decisions[2]).toMatchObject({ violated: ['login'], remaining: 0, limit: 2 });
    expect(await limits.consume(login, 'other')).toMatchObject({ allowed: true, decidedBy: 'local' });
    expect(limits.stats()).toMatchObject({ allowed: 3, refused: 1, undecided: 4 });
  });

  itOnPlainRedis('a process enforces its part of the limit among the processes of the namespace', async () => {
    const before = await counted();
    const fleet = [await boot(), await boot()];
    // Both are there before either counts.
    for (const limits of fleet) await limits.consume(login, 'k');
    await until(async () => (await counted()) === before + 2, { what: 'both have counted' });
    // The answer to the count comes before the answer to this.
    for (const limits of fleet) await limits.consume(login, 'k');
    redis.pause();
    for (const limits of fleet) {
      const decisions = await ask(limits, login, 5);
      expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(4);
    }
  });

  itWith(['cluster|nodes'])('a process enforces a quarter of the limit on a server in cluster mode', async () => {
    // The server knows its own listeners only.
    const cluster = await startRedis({ slotChecks: true });
    try {
      const limits = await boot(cluster.url);
      // The count would be asked for by the first of these, and answered before the second.
      for (let i = 0; i < 2; i++) await limits.consume(login, 'k');
      cluster.pause();
      const decisions = await ask(limits, login, 5);
      expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(2);
    } finally {
      cluster.resume();
      await Promise.all(apps.splice(0).map((app) => app.close()));
      await cluster.stop();
    }
  });

  it('has its own small share of a small limit', async () => {
    const limits = await boot(redis.url, { fallbackShare: 0.01 });
    redis.pause();
    expect((await ask(limits, login, 2)).map(({ allowed }) => allowed)).toEqual([true, false]);
  });

  it('gives turns of its share', async () => {
    const partner = defineRateLimit('partner', { limit: 400, perMs: 1_000, mode: 'pace' });
    const limits = await boot();
    redis.pause();
    const taken = await Promise.allSettled([1, 2, 3].map(() => limits.take(partner, 'k', { maxWaitMs: 15 })));
    expect(taken.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
  });

  it.each(['allow', 'deny'] as const)('the policy %s decides', async (onUnavailable) => {
    const limits = await boot(redis.url, { onUnavailable: 'local', names: { login: { onUnavailable } } });
    redis.pause();
    const decisions = await ask(limits, login, 20);
    const allowed = onUnavailable === 'allow';
    expect(decisions.map((decision) => decision.allowed)).toEqual(decisions.map(() => allowed));
    expect(decisions[0]).toMatchObject({
      decidedBy: 'policy',
      retryAfterMs: allowed ? 0 : 1_000,
      remaining: allowed ? 8 : 0,
    });
  });

  it('units of a reservation are settled where they were taken', async () => {
    const limits = await boot();
    redis.pause();
    const reservation = await limits.reserve(login, 'k', 2);
    await reservation.cancel();
    expect(await limits.consume(login, 'k', { cost: 2 })).toMatchObject({ allowed: true, decidedBy: 'local' });
  });

  it('what Redis executes late is charged once, and then Redis decides again', async () => {
    const limits = await boot();
    await limits.consume(login, 'k');
    redis.pause();
    await limits.consume(login, 'k');
    redis.resume();
    const last = await until(
      async () => {
        const decision = await limits.peek(login, 'k').catch(() => undefined);
        return decision?.decidedBy === 'redis' && decision;
      },
      { what: 'Redis answers' },
    );
    expect(last.remaining).toBeGreaterThanOrEqual(6);
  });
});

describe('a socket that dies', () => {
  const minute = { limit: 8, perMs: 60_000 };
  it.each([
    ['one limit', minute],
    ['two limits', { limits: { minute, hour: { limit: 100, perMs: 3_600_000 } } }],
  ])('after the decision, before its answer: the call is asked again, and charged once (%s)', async (_, of) => {
    const proxy = await FaultProxy.to(redis.port);
    try {
      const limits = await boot(proxy.url);
      const login = defineRateLimit('login', { ...of, onUnavailable: 'deny' });
      const remaining: number[] = [];
      // The new socket may come after 250 ms, on a machine that is busy. Then the call is refused, and tried once more.
      await until(
        async () => {
          await until(async () => (await limits.consume(login, 'warm')).decidedBy === 'redis', {
            what: 'it is connected',
          });
          await limits.reset(login, 'k');
          proxy.hold();
          const asked = limits.consume(login, 'k', { cost: 3 });
          await until(() => proxy.held.length > 0, { what: 'Redis has decided', everyMs: 1 });
          proxy.freeze();
          proxy.release();
          proxy.cut();
          const decision = await asked;
          const { remaining: left } = await until(() => limits.peek(login, 'k').catch(() => undefined), {
            what: 'it is connected',
          });
          expect(left).toBe(5);
          if (decision.decidedBy === 'redis') remaining.push(decision.remaining);
          return remaining.length > 0;
        },
        { what: 'a call was asked again in time' },
      );
      expect(remaining).toEqual([5]);
    } finally {
      await Promise.all(apps.splice(0).map((app) => app.close()));
      await proxy.close();
    }
  });
});
