import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { commandDelta } from '../../../test/support/command-delta.js';
import { CLUSTER_MODE } from '../../../test/support/cluster-mode.js';
import { until } from '../../../test/support/until.js';
import { SluiceRedisModule } from '../../redis/index.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { RateLimitService, SluiceLimitModule, defineRateLimit } from '../index.js';
import { LIMIT_STORE } from '../limit.tokens.js';
import type { LimitStore } from '../store/limit.store.js';

const five = defineRateLimit('five', { limit: 5, perMs: 60_000 });
const large = defineRateLimit('large', { limit: 1_000, perMs: 60_000 });
const perKey = defineRateLimit('per-key', { limit: (key) => (key.startsWith('vip') ? 100 : 5), perMs: 60_000 });
const daily = defineRateLimit('daily', { limit: 5, window: 'day' });
const two = defineRateLimit('two', {
  limits: { burst: { limit: 3, perMs: 30_000 }, minute: { limit: 5, perMs: 60_000 } },
});

/** One script for 32 keys; on a server that knows slots, one per key. */
const scriptsFor = (keys: number): number => (CLUSTER_MODE ? keys : Math.ceil(keys / 32));

let redis: RedisServer;
let admin: Redis;
let app: TestingModule;
let limits: RateLimitService;
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
  const imports = [
    SluiceRedisModule.forRoot({ namespace: 'shop', redis: { url: redis.url } }),
    SluiceLimitModule.forRoot(),
  ];
  app = await Test.createTestingModule({ imports }).compile();
  await app.init();
  limits = app.get(RateLimitService);
  // It has counted the processes, and Redis knows the script.
  await limits.consume(large, 'warm');
});
afterEach(() => admin.flushdb());
afterAll(async () => {
  await app.close();
  admin.disconnect();
  await redis.stop();
});

/** Refusals of one test are remembered for a second, so each test has keys of its own. */
let tests = 0;
beforeEach(() => {
  tests++;
});
const keys = (count: number): string[] => Array.from({ length: count }, (_, i) => `key ${tests} ${i}`);

async function scripts<T>(work: () => Promise<T>): Promise<{ result: T; scripts: number }> {
  const { result, calls } = await commandDelta(admin, work);
  return { result, scripts: (calls['evalsha'] ?? 0) + (calls['eval'] ?? 0) };
}

describe('calls of one turn on many keys', () => {
  it.each([
    ['one limit', five],
    ['several limits', two],
    ['a window of a calendar', daily],
  ])('of %s are few scripts, and each key is decided by itself', async (_, definition) => {
    const names = keys(40);
    for (let i = 0; i < 2; i++) await limits.consume(definition, names[3] ?? '', { cost: 1 });
    const ask = () => Promise.all(names.map((key) => limits.consume(definition, key, { cost: 3 })));
    const { result, scripts: sent } = await scripts(ask);
    const perKey = definition === two ? 2 : 1;
    expect(sent).toBe(scriptsFor(40 * perKey) * (CLUSTER_MODE ? 1 / perKey : 1));
    const left = result.map(({ remaining }) => remaining);
    // The burst of `two` is 3.
    const full = definition === two ? 0 : 2;
    expect(left.filter((_, i) => i !== 3)).toEqual(Array.from({ length: 39 }, () => full));
    if (definition !== two) expect(result[3]).toMatchObject({ allowed: true, remaining: 0 });
    else expect(result[3]).toMatchObject({ allowed: false, violated: ['burst'] });
  });

  it('are admitted up to the limit of each key, whoever is refused', async () => {
    const names = keys(32);
    const allowed = new Map<string, number>();
    for (let turn = 0; turn < 8; turn++) {
      await Promise.all(
        names.map(async (key) => {
          const decision = await limits.consume(five, key, { cost: 1 });
          if (decision.allowed) allowed.set(key, (allowed.get(key) ?? 0) + 1);
        }),
      );
    }
    expect([...allowed.values()]).toEqual(Array.from({ length: 32 }, () => 5));
  });

  it('are apart if they ask for different units, or more than one call asks about the key', async () => {
    const ask = () =>
      Promise.all([
        limits.consume(large, 'b', { cost: 2 }),
        limits.consume(large, 'a', { cost: 1 }),
        limits.consume(large, 'c', { cost: 1 }),
        limits.consume(large, 'c', { cost: 7 }),
      ]);
    const { result, scripts: sent } = await scripts(ask);
    expect(sent).toBe(3);
    expect(result.map(({ remaining }) => remaining)).toEqual([998, 999, 999, 992]);
  });

  it('share a script if their limits depend on the key and are the same', async () => {
    const names = ['a', 'b', 'vip a', 'c', 'vip b'];
    const { result, scripts: sent } = await scripts(() => Promise.all(names.map((key) => limits.consume(perKey, key))));
    expect(sent).toBeLessThanOrEqual(CLUSTER_MODE ? 5 : 4);
    expect(result.map(({ limit, remaining }) => [limit, remaining])).toEqual([
      [5, 4],
      [5, 4],
      [100, 99],
      [5, 4],
      [100, 99],
    ]);
  });

  it('never charge one key twice under one name, although its limit is given twice', async () => {
    // The numbers of the definition, and the same ones by the call: two questions about one key.
    const ask = () => Promise.all([limits.consume(five, 'k'), limits.consume(five, 'k', { limit: 5 })]);
    const decisions = await ask();
    expect(decisions.map(({ remaining }) => remaining).sort()).toEqual([3, 4]);
    const more = [...(await ask()), ...(await ask()), ...(await ask())];
    expect([...decisions, ...more].filter(({ allowed }) => allowed)).toHaveLength(5);
  });

  it('fail by themselves: a key of another type is no matter of the others', async () => {
    const names = keys(5);
    await limits.consume(five, names[1] ?? '');
    const [broken = ''] = await admin.keys('*:five');
    await admin.del(broken);
    await admin.hset(broken, 'a', 'b');
    const ask = () => Promise.allSettled(names.map((key) => limits.consume(five, key)));
    const { result: asked, scripts: sent } = await scripts(ask);
    // The others are not asked again.
    expect(sent).toBe(CLUSTER_MODE ? 5 : 2);
    expect(asked.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled']);
    expect((asked[1] as PromiseRejectedResult).reason).toMatchObject({ message: expect.stringContaining('WRONGTYPE') });
    for (const key of [names[0], names[4]]) expect(await limits.peek(five, key ?? '')).toMatchObject({ remaining: 4 });
  });
});

describe('a request for many keys', () => {
  const rule = { kind: 's', limit: 5, spanUs: 60_000_000, x: 0, y: 0 } as const;
  const subjects = (): string[][] => keys(CLUSTER_MODE ? 1 : 3).map((key) => [`{shop:rl:${key}}:five`]);
  const run = (cost: number) => [{ cost, calls: 1, waitUs: 0 }];
  const store = (): LimitStore => app.get<LimitStore>(LIMIT_STORE);

  it('that is sent twice is charged once', async () => {
    const request = { subjects: subjects(), rules: [rule], runs: run(2), nonce: store().nonce() };
    const answer = (isRepeat: boolean) =>
      request.subjects.map(() =>
        expect.objectContaining({ isRepeat, runs: [expect.objectContaining({ granted: 1, left: [3] })] }),
      );
    expect(await store().consume(request, 10_000)).toEqual(answer(false));
    expect(await store().consume(request, 10_000)).toEqual(answer(true));
  });

  it('some of which have no room is charged once for the others', async () => {
    const all = subjects();
    const last = all.at(-1) ?? [];
    await store().consume({ subjects: [last], rules: [rule], runs: run(4), nonce: store().nonce() }, 10_000);
    const replies = await store().consume(
      { subjects: all, rules: [rule], runs: run(2), nonce: store().nonce() },
      10_000,
    );
    const granted = all.map((keys) => (keys === last ? 0 : 1));
    expect(replies).toEqual(
      granted.map((n) =>
        expect.objectContaining({
          isRepeat: false,
          runs: [expect.objectContaining({ granted: n, left: [n === 0 ? 1 : 3] })],
        }),
      ),
    );
  });

  it('of a calendar window that is over changes nothing', async () => {
    const [x, y] = [1_000_000_000, 2_000_000_000];
    const past = { kind: 'c', limit: 5, spanUs: y - x, x, y } as const;
    for (const some of [subjects().slice(0, 1), subjects()]) {
      const request = { subjects: some, rules: [past], runs: run(1), nonce: store().nonce() };
      const replies = await store().consume(request, 10_000);
      expect(replies).toEqual(some.map(() => ({ nowUs: expect.any(Number), runs: undefined })));
      expect(await admin.dbsize()).toBe(0);
    }
  });
});

it.each<[string, Parameters<typeof defineRateLimit>[1]]>([
  ['instants', { limit: 5, perMs: 60_000 }],
  ['slots', { limit: 500, perMs: 60_000 }],
  // A slot is 100 ms.
  ['short slots', { limit: 500, perMs: 3_000 }],
  ['a fixed window', { limit: 5, perMs: 60_000, algorithm: 'fixed' }],
  ['a calendar', { limit: 5, window: 'day' }],
  ['a bucket', { limit: 5, perMs: 60_000, algorithm: 'bucket' }],
])('a key of %s lives until all of its units have lapsed', async (name, options) => {
  const definition = defineRateLimit(name, options);
  for (let i = 0; i < 3; i++) {
    const before = await serverMs();
    const { resetMs } = await limits.consume(definition, 'lives');
    const [key = ''] = await admin.keys(`*${name}`);
    const lapsesMs = Number(await admin.call('PEXPIRETIME', key));
    expect(lapsesMs).toBeGreaterThanOrEqual(before + resetMs - 1);
    expect(lapsesMs).toBeLessThanOrEqual((await serverMs()) + resetMs + 1);
    await until(async () => (await serverMs()) > before + 105, { what: 'another slot has begun', everyMs: 1 });
  }
});

async function serverMs(): Promise<number> {
  const [seconds, micros] = await admin.time();
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
}
