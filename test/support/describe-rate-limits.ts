import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { defineRateLimit, type RateLimitService, type SluiceLimitModuleOptions } from 'nestjs-sluice/limit';

/** One app with rate limits. */
export interface RateLimitApp {
  readonly limits: RateLimitService;
  /** Lets time pass. */
  readonly pass: (ms: number) => Promise<unknown>;
  readonly close: () => Promise<unknown>;
}

let keys = 0;

/** What rate limits do on Redis and in `SluiceTestingModule` alike. */
export function describeRateLimits(
  where: string,
  boot: (options: SluiceLimitModuleOptions) => Promise<RateLimitApp>,
): void {
  describe(`rate limits ${where}`, () => {
    let app: RateLimitApp;
    let limits: RateLimitService;
    let key: string;
    beforeAll(async () => {
      app = await boot({
        names: { configured: { limit: 3, perMs: 60_000 }, tuned: { limit: 2 }, 'api.burst': { limit: 4 } },
      });
      limits = app.limits;
    });
    afterAll(() => app.close());
    const fresh = (): string => (key = `key ${keys++}`);

    const small = defineRateLimit('small', { limit: 5, perMs: 60_000 });
    const large = defineRateLimit('large', { limit: 1_000, perMs: 60_000 });
    const bucket = defineRateLimit('bucket', { limit: 60, perMs: 6_000_000, algorithm: 'bucket', burst: 5 });
    const quickBucket = defineRateLimit('quick-bucket', { limit: 100, perMs: 1_000, algorithm: 'bucket', burst: 5 });
    const fixed = defineRateLimit('fixed', { limit: 5, perMs: 60_000, algorithm: 'fixed' });
    const daily = defineRateLimit('daily', { limit: 5, window: 'day', timeZone: 'Europe/Berlin' });
    const brief = defineRateLimit('brief', { limit: 5, perMs: 500 });
    const paced = defineRateLimit('paced', { limit: 10, perMs: 600_000, mode: 'pace' });
    const api = defineRateLimit('api', {
      limits: {
        burst: { limit: 2, perMs: 60_000 },
        total: { limit: 6, window: 'month' },
        flow: { limit: 60, perMs: 60_000, algorithm: 'bucket' },
      },
    });

    it.each([small, fixed, daily])('admits $name up to its limit, and says what is left', async (limit) => {
      const most = 5;
      fresh();
      for (let left = most - 1; left >= 0; left--) {
        expect(await limits.consume(limit, key)).toMatchObject({
          allowed: true,
          remaining: left,
          limit: most,
          retryAfterMs: 0,
          violated: [],
          decidedBy: 'redis',
        });
      }
      const refused = await limits.consume(limit, key);
      expect(refused).toMatchObject({ allowed: false, remaining: 0, limit: most, violated: [limit.name] });
      expect(refused.retryAfterMs).toBeGreaterThan(0);
      expect(refused.retryAfterMs).toBeLessThanOrEqual(refused.resetMs);
      expect(await limits.consume(limit, fresh())).toMatchObject({ allowed: true });
    });

    it('admits the burst of a bucket, then what flows in', async () => {
      fresh();
      expect(await limits.consume(bucket, key, { cost: 5 })).toMatchObject({ allowed: true, remaining: 0, limit: 60 });
      expect(await limits.consume(bucket, key)).toMatchObject({ allowed: false });
      const calls = await Promise.all(Array.from({ length: 6 }, () => limits.consume(quickBucket, key)));
      expect(calls.map(({ allowed }) => allowed)).toEqual([true, true, true, true, true, false]);
      await app.pass(calls[5]!.retryAfterMs);
      expect(await limits.consume(quickBucket, key)).toMatchObject({ allowed: true });
    });

    it.each([small, large, bucket, fixed])('charges nothing for a call of $name that does not fit', async (limit) => {
      const most = limit === large ? 1_000 : 5;
      fresh();
      await limits.consume(limit, key, { cost: most - 2 });
      expect(await limits.consume(limit, key, { cost: 4 })).toMatchObject({ allowed: false, remaining: 2 });
      expect(await limits.consume(limit, key, { cost: 2 })).toMatchObject({ allowed: true, remaining: 0 });
      expect(await limits.consume(limit, fresh(), { cost: most + 1 })).toMatchObject({
        allowed: false,
        retryAfterMs: Infinity,
      });
    });

    it('names to each cost its own time, also to calls that are refused without a question to Redis', async () => {
      fresh();
      await limits.consume(bucket, key, { cost: 5 });
      const times: number[] = [];
      for (const cost of [1, 3, 1, 3]) times.push((await limits.consume(bucket, key, { cost })).retryAfterMs);
      // 100 s per unit, less the time that this test takes.
      expect(times.map((ms) => Math.ceil(ms / 100_000))).toEqual([1, 3, 1, 3]);
    });

    it('serves the calls of one turn in order', async () => {
      fresh();
      const costs = [2, 2, 3, 1, 1];
      const decisions = await Promise.all(costs.map((cost) => limits.consume(small, key, { cost })));
      expect(decisions.map(({ allowed }) => allowed)).toEqual([true, true, false, true, false]);
      expect(decisions.map(({ remaining }) => remaining)).toEqual([3, 1, 1, 0, 0]);
    });

    it.each([fixed, bucket])('charges only those calls of a turn of $name that fit', async (limit) => {
      fresh();
      const decisions = await Promise.all(Array.from({ length: 9 }, () => limits.consume(limit, key)));
      expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(5);
      await limits.reward(limit, key);
      expect(await limits.consume(limit, key)).toMatchObject({ allowed: true });
    });

    it('is open again when the window has passed', async () => {
      fresh();
      const full = await Promise.all(Array.from({ length: 6 }, () => limits.consume(brief, key)));
      expect(full.filter(({ allowed }) => allowed)).toHaveLength(5);
      await app.pass(full[5]!.retryAfterMs);
      expect(await limits.consume(brief, key)).toMatchObject({ allowed: true });
    });

    it('charges several limits together, or none', async () => {
      fresh();
      const first = await limits.consume(api, key, { cost: 3 });
      expect(first).toMatchObject({ allowed: true, remaining: 1, limit: 4 });
      expect(first.limits.map(({ name, remaining }) => [name, remaining])).toEqual([
        ['burst', 1],
        ['total', 3],
        ['flow', 57],
      ]);
      const second = await limits.consume(api, key, { cost: 2 });
      expect(second).toMatchObject({ allowed: false, violated: ['burst'] });
      expect(second.limits.map(({ remaining }) => remaining)).toEqual([1, 3, 57]);
      expect(await limits.consume(api, fresh(), { cost: 61 })).toMatchObject({
        violated: ['burst', 'total', 'flow'],
        retryAfterMs: Infinity,
      });
    });

    it('charges nothing at a peek', async () => {
      fresh();
      expect(await limits.peek(small, key)).toMatchObject({ allowed: true, remaining: 5 });
      await limits.consume(small, key, { cost: 5 });
      expect(await limits.peek(small, key)).toMatchObject({ allowed: false, remaining: 0 });
      expect(await limits.consume(small, key, { cost: 0 })).toMatchObject({ allowed: true, remaining: 0 });
    });

    it('forgets all at a reset', async () => {
      fresh();
      await limits.consume(api, key, { cost: 4 });
      expect(await limits.consume(api, key)).toMatchObject({ allowed: false });
      await limits.reset(api, key);
      expect(await limits.consume(api, key)).toMatchObject({ allowed: true, remaining: 3 });
    });

    it('gives units back as a reward', async () => {
      fresh();
      await limits.consume(small, key, { cost: 5 });
      expect(await limits.consume(small, key)).toMatchObject({ allowed: false });
      await limits.reward(small, key, 2);
      expect(await limits.consume(small, key)).toMatchObject({ allowed: true, remaining: 1 });
    });

    it('refuses a key that is blocked', async () => {
      fresh();
      await limits.consume(small, key);
      await limits.block(small, key, 10_000);
      const refused = await limits.consume(small, key);
      expect(refused).toMatchObject({ allowed: false, remaining: 0 });
      expect(refused.retryAfterMs).toBeGreaterThan(5_000);
      await limits.reset(small, key);
      expect(await limits.consume(small, key)).toMatchObject({ allowed: true });
    });

    it('settles a reservation, once, and cancels one', async () => {
      fresh();
      const first = await limits.reserve(large, key, 400);
      expect(first).toMatchObject({ allowed: true, remaining: 600 });
      await first.settle(100);
      await first.settle(0);
      await first.cancel();
      expect(await limits.peek(large, key)).toMatchObject({ remaining: 900 });
      const second = await limits.reserve(large, key, 900);
      await second.settle(950);
      expect(await limits.peek(large, key)).toMatchObject({ remaining: 0 });
      const third = await limits.reserve(large, key, 1);
      expect(third.allowed).toBe(false);
      await third.settle(500);
      await third.cancel();
      const other = await limits.reserve(small, fresh(), 5);
      await other.cancel();
      expect(await limits.peek(small, key)).toMatchObject({ remaining: 5 });
    });

    it('gives turns in order of arrival, and refuses those that come too late', async () => {
      fresh();
      await limits.take(paced, key);
      await expect(limits.take(paced, key, { maxWaitMs: 1_000 })).rejects.toMatchObject({
        code: 'SLUICE_RATE_LIMITED',
        rateLimit: 'paced',
      });
      expect(await limits.consume(paced, key)).toMatchObject({ allowed: false });
      const abort = new AbortController();
      const waiting = limits.take(paced, key, { maxWaitMs: 70_000, signal: abort.signal });
      const reason = new Error('enough');
      setImmediate(() => {
        abort.abort(reason);
      });
      await expect(waiting).rejects.toBe(reason);
      await expect(limits.take(small, key)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    });

    it('starts calls at their turns', async () => {
      const quick = defineRateLimit('quick', { limit: 100, perMs: 1_000, mode: 'pace' });
      fresh();
      const order: number[] = [];
      const taken = [0, 1, 2, 3].map((n) => limits.take(quick, key).then(() => order.push(n)));
      await app.pass(31);
      await Promise.all(taken);
      expect(order).toEqual([0, 1, 2, 3]);
    });

    it('takes the limit from a function of the key, or from the call', async () => {
      const plans = defineRateLimit('plans', {
        limit: (key) => Promise.resolve(key.startsWith('gold') ? 3 : 1),
        perMs: 60_000,
      });
      const [gold, free] = [`gold ${fresh()}`, fresh()];
      expect(await limits.consume(plans, gold)).toMatchObject({ allowed: true, remaining: 2, limit: 3 });
      expect(await limits.consume(plans, free)).toMatchObject({ allowed: true, remaining: 0, limit: 1 });
      expect(await limits.consume(plans, free, { limit: 2 })).toMatchObject({ allowed: true, remaining: 0, limit: 2 });
      await expect(limits.consume(api, key, { limit: 2 })).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    });

    it('takes configuration by name above the code, and limits that are only there', async () => {
      const tuned = defineRateLimit('tuned', { limit: 50, perMs: 60_000 });
      expect(await limits.consume(tuned, fresh())).toMatchObject({ limit: 2 });
      expect(await limits.consume('configured', key)).toMatchObject({ limit: 3, remaining: 2 });
      await expect(limits.consume('configurd', key)).rejects.toMatchObject({
        code: 'SLUICE_BAD_OPTION',
        message: expect.stringContaining("'configured'"),
      });
    });

    it('refuses nothing in a dry run', async () => {
      const tried = defineRateLimit('tried', { limit: 1, perMs: 60_000, dryRun: true });
      fresh();
      await limits.consume(tried, key);
      expect(await limits.consume(tried, key)).toMatchObject({ allowed: true, remaining: 0, violated: ['tried'] });
      expect(limits.stats().names.find(({ name }) => name === 'tried')).toMatchObject({ allowed: 1, refused: 1 });
    });

    it.each<[string, () => Promise<unknown>, string]>([
      ['an empty key', () => limits.consume(small, ''), 'SLUICE_BAD_NAME'],
      ['a key that is no text', () => limits.consume(small, 5 as never), 'SLUICE_BAD_NAME'],
      ['half a cost', () => limits.consume(small, 'k', { cost: 0.5 }), 'SLUICE_BAD_OPTION'],
      ['a limit of nothing', () => limits.consume(small, 'k', { limit: 0 }), 'SLUICE_BAD_OPTION'],
      [
        'another definition of a name',
        () => limits.consume(defineRateLimit('small', { limit: 6, perMs: 60_000 }), 'k'),
        'SLUICE_BAD_OPTION',
      ],
      ['no rate limit', () => limits.consume(undefined as never, 'k'), 'SLUICE_BAD_OPTION'],
      ['no time', () => limits.block(small, 'k', undefined as never), 'SLUICE_BAD_OPTION'],
    ])('rejects %s', async (_, call, code) => {
      await limits.consume(small, 'k');
      await expect(call()).rejects.toMatchObject({ code });
    });

    it('takes two definitions of the same values for one', async () => {
      fresh();
      await limits.consume(small, key);
      expect(await limits.consume(defineRateLimit('small', { limit: 5, perMs: 60_000 }), key)).toMatchObject({
        remaining: 3,
      });
    });
  });
}
