import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { commandDelta } from '../../../test/support/command-delta.js';
import { until } from '../../../test/support/until.js';
import { SluiceRedisModule } from '../../redis/index.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { RateLimit, RateLimitService, SluiceLimitModule, defineRateLimit } from '../index.js';

const HOUR_MS = 3_600_000;
const slow = defineRateLimit('slow', { limit: 1, perMs: HOUR_MS, mode: 'pace' });
const ten = defineRateLimit('ten', { limit: 10, perMs: HOUR_MS });

@Injectable()
class Partner {
  @RateLimit(ten)
  @RateLimit(slow, { maxWaitMs: 24 * HOUR_MS })
  async send(call: { signal?: unknown; order?: string }): Promise<string> {
    return Promise.resolve(call.order ?? '');
  }
}

let redis: RedisServer;
let admin: Redis;
let app: TestingModule;
let other: TestingModule;

async function boot(): Promise<TestingModule> {
  const imports = [SluiceRedisModule.forRoot({ redis: { url: redis.url } }), SluiceLimitModule.forRoot()];
  const booted = await Test.createTestingModule({ imports, providers: [Partner] }).compile();
  return booted.init();
}

beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});
beforeEach(async () => {
  await admin.flushall();
  [app, other] = [await boot(), await boot()];
});
afterEach(() => Promise.all([app, other].map((each) => each.close())));

/** How many hours the next call would wait. */
const hoursToWait = async (): Promise<number> => {
  const { retryAfterMs } = await other.get(RateLimitService).peek(slow, 'all');
  return Math.ceil(retryAfterMs / HOUR_MS);
};

it('calls that wait when the app stops reject, and give their turns back', async () => {
  const limits = app.get(RateLimitService);
  await limits.take(slow, 'all');
  const waiting = limits.take(slow, 'all', { maxWaitMs: 24 * HOUR_MS });
  const outcome = waiting.catch((error: unknown) => error);
  await until(async () => (await hoursToWait()) === 2, { what: 'the call has its turn' });
  await app.close();
  expect(await outcome).toMatchObject({ code: 'SLUICE_CLOSED', message: expect.stringContaining("'slow'") });
  expect(await hoursToWait()).toBe(1);
});

it('no turn is given after that', async () => {
  const limits = app.get(RateLimitService);
  await app.close();
  await expect(limits.take(slow, 'all')).rejects.toMatchObject({ code: 'SLUICE_CLOSED' });
  expect(await hoursToWait()).toBe(0);
});

it('a call that waits for its turn ends when the signal of its first argument aborts, and gives the turn back', async () => {
  const partner = app.get(Partner);
  expect(await partner.send({ order: 'first' })).toBe('first');
  const abort = new AbortController();
  const outcome = partner.send({ signal: abort.signal }).catch((error: unknown) => error);
  await until(async () => (await hoursToWait()) === 2, { what: 'the call has its turn' });
  const reason = new Error('enough');
  abort.abort(reason);
  expect(await outcome).toBe(reason);
  await until(async () => (await hoursToWait()) === 1, { what: 'the turn is given back' });
  // Others would have no limit for calls that leave in time.
  expect(await other.get(RateLimitService).peek(ten, 'all')).toMatchObject({ remaining: 8 });
});

it.each([
  ['none', undefined],
  ['another thing', { aborted: true }],
])('a signal may be %s', async (_, signal) => {
  expect(await app.get(Partner).send({ signal, order: 'first' })).toBe('first');
});

it('a refusal is remembered for the limit that came with the call, and for no other', async () => {
  const limits = app.get(RateLimitService);
  const five = defineRateLimit('five', { limit: 5, perMs: HOUR_MS });
  await limits.consume(five, 'k', { cost: 2, limit: 2 });
  expect(await limits.consume(five, 'k', { limit: 2 })).toMatchObject({ allowed: false, limit: 2 });
  const { result, calls } = await commandDelta(admin, async () => {
    return Promise.all(Array.from({ length: 1_000 }, () => limits.consume(five, 'k', { limit: 2 })));
  });
  expect(result.every(({ allowed }) => !allowed)).toBe(true);
  // More than none if a second passes meanwhile.
  expect(calls['evalsha'] ?? 0).toBeLessThan(10);
  expect(await limits.consume(five, 'k', { limit: 3 })).toMatchObject({ allowed: true });
  expect(await limits.consume(five, 'k')).toMatchObject({ allowed: true, limit: 5, remaining: 1 });
  await limits.reset(five, 'k');
  expect(await limits.consume(five, 'k', { limit: 2 })).toMatchObject({ allowed: true });
});
