import { afterEach, describe, expect, it } from '@jest/globals';
import { itAsUsersSendIt } from '../../test/support/cluster-mode.js';
import { CacheBed, keysLeft } from '../../test/support/cache-bed.js';
import { HeldLoader } from '../../test/support/cache-member.js';
import { commandDelta } from '../../test/support/command-delta.js';
import { SOON_MS, until } from '../../test/support/until.js';
import { startRedis, type RedisServer } from '../testing/index.js';

const bed = new CacheBed();
const code = (name: string) => expect.objectContaining({ code: name });

describe('take', () => {
  let own: RedisServer | undefined;
  afterEach(async () => {
    await own?.stop();
    own = undefined;
  });

  it('gives a value to one call of all that ask for it, in any process', async () => {
    const fleet = [await bed.member(), await bed.member(), await bed.member()];
    for (let round = 0; round < 20; round++) {
      await fleet[0]!.cache.set('k', { round });
      const taken = await Promise.all(
        Array.from({ length: 30 }, (_, i) => fleet[i % 3]!.cache.take<{ round: number }>('k')),
      );
      expect(taken.filter((value) => value !== undefined)).toEqual([{ round }]);
    }
    expect(await keysLeft(bed.admin)).toEqual([]);
  });

  it('is one script, and writes nothing where there is no value', async () => {
    const { cache } = await bed.member();
    await cache.set('k', 'v');
    await cache.take('k');
    const missed = await commandDelta(bed.admin, async () => {
      expect(await cache.take('k')).toBe(undefined);
    });
    delete missed.calls['ping'];
    expect(missed.calls).toEqual({ evalsha: 1, time: 1, get: 1 });
  });

  it('takes no value that is past its time, was invalidated, or is of another version', async () => {
    const { cache } = await bed.member();
    await cache.set('tagged', 'v', { tags: ['t'] });
    await cache.invalidateTags('t');
    await cache.set('stale', 'v', { ttlMs: 1, staleMs: 60_000 });
    await until(async () => (await cache.get('stale')) === undefined, { what: 'it is past its time' });
    await cache.set('versioned', 'v', { version: '1' });
    for (const key of ['tagged', 'stale', 'versioned']) expect(await cache.take(key)).toBe(undefined);
    expect(await cache.take('versioned', { version: '1' })).toBe('v');
    expect(cache.stats().methods['take']).toMatchObject({ hits: { redis: 1 }, misses: 3 });
  });

  it('removes the copies in every process', async () => {
    const [one, other] = [await bed.member({ local: true }), await bed.member({ local: true })];
    await one.cache.set('k', 'v');
    const copied = async (): Promise<boolean> => {
      await one.cache.get('k');
      return one.cache.stats().total.hits.local > 0;
    };
    await until(copied, { what: 'there is a copy' });
    expect(await other.cache.take('k')).toBe('v');
    expect(await other.cache.get('k')).toBe(undefined);
    await until(async () => (await one.cache.get('k')) === undefined, {
      what: 'the copy elsewhere has gone',
      deadlineMs: SOON_MS,
    });
  });

  it('does not join a read that runs, and does not void a load', async () => {
    const { cache } = await bed.member();
    const source = new HeldLoader();
    const call = cache.getOrLoad('k', source.load);
    const run = await source.run();
    expect(await cache.take('k')).toBe(undefined);
    expect(run.context.signal.aborted).toBe(false);
    run.succeed('v');
    expect(await call).toBe('v');
    expect(await cache.take('k')).toBe('v');
  });

  it('counts a value that cannot be read as broken, and removes it', async () => {
    const { cache } = await bed.member();
    await cache.set('k', 'v');
    const stored = (await bed.admin.get('{cache}:k')) ?? '';
    await bed.admin.set('{cache}:k', `${stored.slice(0, stored.indexOf('\n') + 1)}{`);
    expect(await cache.take('k')).toBe(undefined);
    expect(cache.stats().total.broken).toBe(1);
    expect(await bed.admin.exists('{cache}:k')).toBe(0);
  });

  it('rejects while Redis is away, and is never run again by a later connection', async () => {
    own = await startRedis();
    const { cache } = await bed.member({ redis: { url: own.url, commandTimeoutMs: 200 }, local: true });
    await cache.set('k', 'v');
    expect(await cache.get('k')).toBe('v');
    own.pause();
    const lost = await cache.take('k').catch((error: unknown) => error);
    expect(lost).toEqual(expect.objectContaining({ code: 'SLUICE_REDIS_UNAVAILABLE', outcome: 'unknown' }));
    own.resume();
    // The server ran it when it went on: the value is nobody's.
    await until(
      () =>
        cache.take('k').then(
          (value) => value === undefined,
          () => false,
        ),
      { what: 'Redis answers' },
    );
    await own.kill();
    await expect(cache.take('k')).rejects.toEqual(code('SLUICE_REDIS_UNAVAILABLE'));
  });

  itAsUsersSendIt('works while Redis is full', async () => {
    own = await startRedis({ args: ['--maxmemory-policy', 'noeviction'] });
    const { cache } = await bed.member({ redis: { url: own.url } });
    await cache.set('k', 'v');
    await own.ask((client) => client.config('SET', 'maxmemory', '1'));
    await expect(cache.set('other', 'v')).rejects.toEqual(code('SLUICE_REDIS_UNAVAILABLE'));
    expect(await cache.take('k')).toBe('v');
    expect(await cache.take('k')).toBe(undefined);
  });

  it.each([
    ['no key', [''], 'SLUICE_BAD_NAME'],
    ['an unknown option', ['k', { ttlMs: 1 }], 'SLUICE_BAD_OPTION'],
  ])('refuses %s', async (_, args, name) => {
    const { cache } = await bed.member();
    await expect(cache.take(...(args as [string]))).rejects.toEqual(code(name));
  });
});

describe('a value that lives for long', () => {
  it.each([
    ['a month', 30 * 86_400_000],
    ['until it is invalidated', Infinity],
  ])('is there: %s', async (_, ttlMs) => {
    const [a, b] = [await bed.member({ local: true }), await bed.member()];
    const options = { ttlMs, staleMs: ttlMs, tags: ['t'], resultTags: () => ['r'], jitter: 0 };
    await a.cache.set('set', 'v', { ttlMs, tags: ['t'] });
    for (const { cache } of [a, b]) {
      expect(await cache.getOrLoad('k', () => 'v', options)).toBe('v');
      expect(await cache.getMany(['k', 'set'])).toEqual(['v', 'v']);
    }
    expect(await bed.admin.pttl('{cache}:k')).toBeGreaterThan(29 * 86_400_000);
    expect(await bed.admin.pttl('{cache}~tag:t')).toBeGreaterThan(29 * 86_400_000);
    await a.cache.invalidateTags('t');
    for (const key of ['k', 'set']) expect(await b.cache.get(key)).toBe(undefined);
    await a.cache.raw.set('raw', 'text', ttlMs);
    expect(await a.cache.raw.get('raw')).toBe('text');
    expect(await a.cache.raw.lock('raw', ttlMs, 1_000)).toBe('LOAD');
  });
});
