import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { RateLimitService } from '../limit/index.js';
import { SluiceTestingModule, TestingClock } from '../testing/index.js';
import { SluiceThrottlerStorage } from './index.js';

describe('SluiceThrottlerStorage', () => {
  let app: TestingModule;
  let storage: SluiceThrottlerStorage;
  let key: string;
  let keys = 0;
  const pass = (ms: number): Promise<void> => app.get(TestingClock).advance(ms);
  beforeAll(async () => {
    app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()] }).compile();
    await app.init();
  });
  afterAll(() => app.close());
  beforeEach(() => {
    storage = new SluiceThrottlerStorage(app.get(RateLimitService));
    key = `client ${keys++}`;
  });

  it('counts hits, and says when they are over', async () => {
    for (const totalHits of [1, 2, 3]) {
      expect(await storage.increment(key, 60_000, 3, 0, 'default')).toEqual({
        totalHits,
        timeToExpire: 60,
        isBlocked: false,
        timeToBlockExpire: 0,
      });
    }
    expect(await storage.increment(key, 60_000, 3, 0, 'default')).toMatchObject({
      totalHits: 4,
      isBlocked: true,
      timeToBlockExpire: 60,
    });
    expect(await storage.increment('other', 60_000, 3, 0, 'default')).toMatchObject({ totalHits: 1 });
    expect(await storage.increment(key, 60_000, 3, 0, 'na.med')).toMatchObject({ totalHits: 1 });
    expect(await storage.increment(key, 1_000, 3, 0, 'default')).toMatchObject({ totalHits: 1 });
  });

  it('blocks for the duration, which a client that keeps trying does not make longer', async () => {
    await storage.increment(key, 1_000, 1, 10_000, 'default');
    expect(await storage.increment(key, 1_000, 1, 10_000, 'default')).toMatchObject({
      isBlocked: true,
      timeToBlockExpire: 10,
    });
    await pass(6_000);
    // Another process, which does not know of the block.
    storage = new SluiceThrottlerStorage(app.get(RateLimitService));
    expect(await storage.increment(key, 1_000, 1, 10_000, 'default')).toMatchObject({ isBlocked: true });
    await pass(4_001);
    expect(await storage.increment(key, 1_000, 1, 10_000, 'default')).toMatchObject({ isBlocked: false, totalHits: 1 });
  });

  it('admits again when hits are over, without a block', async () => {
    await storage.increment(key, 1_000, 1, 0, 'default');
    expect(await storage.increment(key, 1_000, 1, 0, 'default')).toMatchObject({
      isBlocked: true,
      timeToBlockExpire: 1,
    });
    await pass(1_001);
    expect(await storage.increment(key, 1_000, 1, 0, 'default')).toMatchObject({ isBlocked: false });
  });

  it('remembers refusals, so that a flood does not reach Redis, and admits when there is room', async () => {
    const limits = app.get(RateLimitService);
    const remembered = (): number => limits.stats().remembered;
    const before = remembered();
    for (const limit of [2, 2, 2]) await storage.increment(key, 1_500, limit, 0, 'default');
    for (let i = 0; i < 100; i++)
      expect(await storage.increment(key, 1_500, 2, 0, 'default')).toMatchObject({ isBlocked: true, totalHits: 3 });
    expect(remembered() - before).toBe(100);
    // Another limit for the same client, as of a plan that has changed.
    expect(await storage.increment(key, 1_500, 3, 0, 'default')).toMatchObject({ isBlocked: false, totalHits: 3 });
    await pass(1_501);
    expect(await storage.increment(key, 1_500, 2, 0, 'default')).toMatchObject({ isBlocked: false, totalHits: 1 });
  });

  it('takes any number as a limit, as the package does: none, part of one, and no limit at all', async () => {
    const closed = { totalHits: 1, timeToExpire: 2, isBlocked: true };
    for (const limit of [0, 0.5, -1])
      expect(await storage.increment(key, 1_500, limit, 0, 'default')).toEqual({ ...closed, timeToBlockExpire: 2 });
    expect(await storage.increment(key, 1_500, 0, 9_500, 'default')).toEqual({ ...closed, timeToBlockExpire: 10 });
    const blocked: boolean[] = [];
    for (let i = 0; i < 3; i++) blocked.push((await storage.increment(key, 60_000, 2.5, 0, 'default')).isBlocked);
    expect(blocked).toEqual([false, false, true]);
    expect(await storage.increment('free', 60_000, Infinity, 0, 'default')).toMatchObject({ isBlocked: false });
  });

  it('takes a time that is no whole number, and names one that cannot be', async () => {
    expect(await storage.increment(key, 1_000 / 3, 5, 0, 'default')).toMatchObject({ totalHits: 1, timeToExpire: 1 });
    for (const ttl of [0, 2 ** 31, Number.NaN])
      await expect(storage.increment(key, ttl, 5, 0, 'default')).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  });
});
