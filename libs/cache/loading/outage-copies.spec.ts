import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { CacheBed } from '../../../test/support/cache-bed.js';
import type { CacheMember, CacheMemberOptions } from '../../../test/support/cache-member.js';
import { until } from '../../../test/support/until.js';
import { systemClock } from '../../redis/index.js';
import { LocalTier } from '../local/local-tier.js';
import { startRedis, type RedisServer } from '../../testing/index.js';

const bed = new CacheBed();

it('a copy that is past its time is none', () => {
  let nowMs = 0;
  const clock = { ...systemClock, monoMs: () => nowMs, wallMs: () => nowMs };
  const proven = { monoMs: Infinity, wallMs: Infinity };
  const inbox = { on: jest.fn(), onResync: jest.fn(), join: jest.fn(), proveFor: () => jest.fn(), proven };
  const tier = new LocalTier({
    inbox,
    channel: 'c',
    sequence: 's',
    clock,
    limits: { maxEntries: 10, maxBytes: 10_000 },
  });
  tier.keep(tier.watch('k'), tier.now(), { value: { text: '"v"', tags: [] }, leftMs: 5 });
  nowMs = 4;
  expect(tier.readInOutage('k', Infinity)?.take()).toBe('v');
  nowMs = 5;
  expect(tier.readInOutage('k', Infinity)).toBe(undefined);
});

describe('copies of this process while Redis is away', () => {
  let own: RedisServer;
  beforeEach(async () => {
    own = await startRedis();
  });
  afterEach(() => own.stop());

  const HOUR = 3_600_000;
  const onBackendDown = { local: { maxAgeMs: HOUR } };
  const member = (options: Partial<CacheMemberOptions> = {}): Promise<CacheMember> =>
    bed.member({ redis: { url: own.url }, local: true, onBackendDown, ttlMs: 10 * HOUR, ...options });
  /** The proofs that a copy is valid have lapsed: what is served now is served because of `onBackendDown`. */
  const away = async ({ cache }: CacheMember): Promise<void> => {
    await own.kill();
    await until(
      () => cache.getOrLoad('lapsed', () => 'source', { onBackendDown: 'load' }).then((v) => v === 'source'),
      {
        what: 'ordinary reads find no copy',
      },
    );
  };
  const kept = async ({ cache }: CacheMember, key: string, load: () => string): Promise<void> => {
    await cache.getOrLoad('lapsed', () => 'copy', { ttlMs: HOUR });
    await until(
      async () => {
        for (const each of [key, 'lapsed']) await cache.getOrLoad(each, load);
        return (cache.stats().local?.entries ?? 0) >= 2;
      },
      { what: 'there are copies' },
    );
  };

  it('are served, and so is what was loaded without Redis, with one load each', async () => {
    const made = await member();
    await kept(made, 'hot', () => 'v');
    await away(made);
    const source = jest.fn(() => 'source');
    for (let i = 0; i < 50; i++) expect(await made.cache.getOrLoad('hot', source)).toBe('v');
    expect(await made.cache.get('hot')).toBe('v');
    expect(source).toHaveBeenCalledTimes(0);
    for (let i = 0; i < 50; i++) expect(await made.cache.getOrLoad('cold', source)).toBe('source');
    expect(await made.cache.get('cold')).toBe('source');
    expect(source).toHaveBeenCalledTimes(1);
    await own.restart();
    await made.cache.getOrLoad('cold', () => 'anew');
    await until(() => made.cache.getOrLoad('cold', () => 'anew').then((value) => value === 'anew'), {
      what: 'copies of the outage have gone',
    });
  });

  it('are served to nobody who did not ask for it', async () => {
    const made = await member({ onBackendDown: 'load' });
    await kept(made, 'hot', () => 'v');
    await away(made);
    expect(await made.cache.getOrLoad('hot', () => 'source')).toBe('source');
    expect(await made.cache.getOrLoad('hot', () => 'source 2')).toBe('source 2');
    expect(await made.cache.getOrLoad('hot', () => 'source', { onBackendDown })).toBe('v');
    expect(await made.cache.get('hot')).toBe(undefined);
    await expect(made.cache.getOrLoad('hot', () => 'source', { onBackendDown: 'throw' })).rejects.toMatchObject({
      code: 'SLUICE_REDIS_UNAVAILABLE',
    });
  });

  it('are no older than was said, and not past their time', async () => {
    const skew = { ms: 0 };
    const clock = {
      ...systemClock,
      monoMs: () => systemClock.monoMs() + skew.ms,
      wallMs: () => systemClock.wallMs() + skew.ms,
    };
    const made = await member({ clock });
    await kept(made, 'hot', () => 'v');
    await made.cache.getOrLoad('short', () => 'v', { ttlMs: HOUR / 2 });
    await away(made);
    expect(await made.cache.getOrLoad('cold', () => 'source')).toBe('source');
    skew.ms = HOUR / 2;
    expect(await made.cache.getOrLoad('short', () => 'source')).toBe('source');
    expect(await made.cache.getOrLoad('hot', () => 'source')).toBe('v');
    expect(await made.cache.getOrLoad('cold', () => 'other')).toBe('source');
    skew.ms = HOUR + 1;
    expect(await made.cache.getOrLoad('hot', () => 'source')).toBe('source');
    expect(await made.cache.getOrLoad('cold', () => 'other')).toBe('other');
  });

  it('go when this process invalidates them, though Redis does not confirm it', async () => {
    const made = await member();
    const { cache } = made;
    await kept(made, 'hot', () => 'v');
    await away(made);
    const loads = ['a', 'b', 'c'].map((key) =>
      cache.getOrLoad(key, () => 'old', { tags: [key], resultTags: () => ['result'] }),
    );
    await Promise.all(loads);
    for (const change of [cache.delete('hot'), cache.delete('a'), cache.invalidateTags('b')]) {
      await expect(change).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE' });
    }
    for (const key of ['hot', 'a', 'b']) expect(await cache.getOrLoad(key, () => 'new')).toBe('new');
    expect(await cache.getOrLoad('c', () => 'new')).toBe('old');
    await expect(cache.invalidateTags('result')).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE' });
    expect(await cache.getOrLoad('c', () => 'new')).toBe('new');
  });

  it('hold nothing that `unless` keeps out, and are revived for each caller', async () => {
    const made = await member();
    await kept(made, 'hot', () => 'v');
    await away(made);
    const unless = (): boolean => true;
    expect(await made.cache.getOrLoad('never', () => 'one', { unless })).toBe('one');
    expect(await made.cache.getOrLoad('never', () => 'two', { unless })).toBe('two');
    const revive = (data: unknown): Date => new Date(data as string);
    const values = [];
    for (let i = 0; i < 2; i++)
      values.push(await made.cache.getOrLoad<unknown>('date', () => '2026-01-01', { revive }));
    for (const value of values) expect(value).toEqual(new Date('2026-01-01'));
    expect(values[0]).not.toBe(values[1]);
  });
});
