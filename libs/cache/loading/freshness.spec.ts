import { describe, expect, it } from '@jest/globals';
import { CacheBed } from '../../../test/support/cache-bed.js';
import { HeldLoader } from '../../../test/support/cache-member.js';
import { commandDelta } from '../../../test/support/command-delta.js';
import { until } from '../../../test/support/until.js';
import type { CacheService } from '../cache.service.js';

// What is missed here is missed for ever: no need to wait for it longer.
const bed = new CacheBed();
const LEASE = '{cache}~lease:k';
const code = (name: string) => expect.objectContaining({ code: name });
const stale = { ttlMs: 50, staleMs: 60_000, jitter: 0, earlyRefresh: 0 };
const missed = (): never => {
  throw new Error('a miss');
};

/** Resolves when the value is past its time. */
const past = (cache: CacheService): Promise<boolean> =>
  until(async () => (await cache.get('k')) === undefined, { what: 'it is past its time', everyMs: 5 });

describe('staleMs', () => {
  it('serves everybody the stale value while one process refreshes it', async () => {
    const fleet = [await bed.member(), await bed.member(), await bed.member()];
    const source = new HeldLoader();
    await fleet[0]!.cache.set('k', 'old', stale);
    expect(await fleet[2]!.cache.getOrLoad('k', missed, stale)).toBe('old');
    await past(fleet[0]!.cache);
    const read = (): Promise<unknown[]> =>
      Promise.all(fleet.map(({ cache }) => cache.getOrLoad('k', source.load, stale)));
    for (let i = 0; i < 3; i++) expect(await read()).toEqual(['old', 'old', 'old']);
    // On a slow machine the value was past its time before, and the loader that must not run has begun a back-off.
    const begun = async (): Promise<boolean> => {
      expect(await read()).toEqual(['old', 'old', 'old']);
      return source.runs.length > 0;
    };
    await until(begun, { what: 'the refresh has begun' });
    expect(source.runs).toHaveLength(1);
    source.runs[0]!.succeed('new');
    // On a slow machine the lease of the load may have been lost: then the next one stores the value.
    const again = async (): Promise<boolean> =>
      (await fleet[1]!.cache.getOrLoad<unknown>('k', () => 'new', stale)) === 'new';
    await until(again, { what: 'it is refreshed' });
    expect(await read()).toEqual(['new', 'new', 'new']);
  });

  it('serves it when the loader fails, which is tried once per back-off', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    const options = { ...stale, errorBackoffMs: 600_000 };
    await a.cache.set('k', 'old', options);
    await past(a.cache);
    let attempts = 0;
    const failing = (): never => {
      attempts++;
      throw new Error('down');
    };
    const read = (): Promise<unknown[]> =>
      Promise.all([a, b].map(({ cache }) => cache.getOrLoad('k', failing, options)));
    for (let i = 0; i < 5; i++) expect(await read()).toEqual(['old', 'old']);
    expect(attempts).toBe(1);
    expect(await bed.admin.pttl(LEASE)).toBeGreaterThan(300_000);
    await bed.admin.pexpire(LEASE, 1);
    await until(async () => (await bed.admin.exists(LEASE)) === 0, { what: 'the back-off ends', everyMs: 5 });
    expect(await read()).toEqual(['old', 'old']);
    expect(attempts).toBe(2);
  });

  it.each<[string, (cache: CacheService) => Promise<unknown>]>([
    ['delete', (cache) => cache.delete('k')],
    ['invalidateTags', (cache) => cache.invalidateTags('a')],
    ['clear', (cache) => cache.clear()],
  ])('covers no %s, before or during the refresh', async (_how, invalidate) => {
    const [a, b] = [await bed.member(), await bed.member()];
    for (const refreshing of [false, true]) {
      const source = new HeldLoader();
      const options = { ...stale, tags: ['a'] };
      await a.cache.set('k', 'old', options);
      await past(a.cache);
      if (refreshing) {
        expect(await a.cache.getOrLoad('k', source.load, options)).toBe('old');
        await source.run();
      }
      await invalidate(b.cache);
      const calls = [a, b].map(({ cache }) => cache.getOrLoad('k', source.load, options));
      (await source.run(refreshing ? 2 : 1)).succeed('new');
      expect(await Promise.all(calls)).toEqual(['new', 'new']);
      if (refreshing) source.runs[0]!.succeed('void');
      expect(await b.cache.getOrLoad('k', missed, options)).toBe('new');
      await bed.admin.flushall();
    }
  });

  it('is what the caller accepts, not more than was kept', async () => {
    const { cache } = await bed.member();
    await cache.set('k', 'old', stale);
    await past(cache);
    expect(await bed.admin.pttl('{cache}:k')).toBeGreaterThan(50_000);
    expect(await cache.getOrLoad('k', () => 'new', { ttlMs: 50_000 })).toBe('new');
    expect(await bed.admin.pttl('{cache}:k')).toBeLessThanOrEqual(50_000);
  });

  it('may be evicted during its refresh: who asks waits for that', async () => {
    const { cache } = await bed.member();
    await cache.set('k', 'old', stale);
    await past(cache);
    const source = new HeldLoader();
    expect(await cache.getOrLoad('k', source.load, stale)).toBe('old');
    await source.run();
    // Evicted while it is refreshed: the load is as good as before, and the only thing there is.
    await bed.admin.del('{cache}:k');
    const waiting = cache.getOrLoad('k', source.load, stale);
    await bed.waiters(1);
    source.runs[0]!.succeed('new');
    expect(await waiting).toBe('new');
  });
});

describe('softTimeoutMs', () => {
  const soft = { ...stale, softTimeoutMs: 10_000 };

  it('waits for the refresh, here and elsewhere, if it comes in time', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    await a.cache.set('k', 'old', stale);
    await past(a.cache);
    const source = new HeldLoader();
    const calls = [a.cache.getOrLoad('k', source.load, soft)];
    await source.run();
    calls.push(b.cache.getOrLoad('k', source.load, soft));
    await bed.waiters(1);
    source.runs[0]!.succeed('new');
    expect(await Promise.all(calls)).toEqual(['new', 'new']);
  });

  it('returns the stale value when it does not, and when it fails', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    await a.cache.set('k', 'old', stale);
    await past(a.cache);
    const source = new HeldLoader();
    const call = a.cache.getOrLoad('k', source.load, { ...soft, softTimeoutMs: 30 });
    await source.run();
    expect(await b.cache.getOrLoad('k', source.load, { ...soft, softTimeoutMs: 30 })).toBe('old');
    expect(await call).toBe('old');
    const waiting = b.cache.getOrLoad('k', source.load, soft);
    await bed.waiters(2);
    source.runs[0]!.fail(new Error('down'));
    expect(await waiting).toBe('old');
    expect(await a.cache.getOrLoad('k', source.load, soft)).toBe('old');
    expect(source.runs).toHaveLength(1);
  });

  it('does not serve the stale value to who came after it was invalidated', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    await a.cache.set('k', 'old', stale);
    await past(a.cache);
    const source = new HeldLoader();
    const early = a.cache.getOrLoad('k', source.load, { ...soft, softTimeoutMs: 300 });
    await source.run();
    // The loading process is not told.
    await bed.admin.hset(LEASE, 'owner', 'nobody');
    await b.cache.delete('k');
    const late = a.cache.getOrLoad('k', source.load, { ...soft, softTimeoutMs: 300 });
    expect(await early).toBe('old');
    (await source.run(2)).succeed('new');
    expect(await late).toBe('new');
  });
});

describe('earlyRefresh', () => {
  it('refreshes once, in the background, the sooner the longer a load takes', async () => {
    const fleet = [await bed.member(), await bed.member()];
    const source = new HeldLoader();
    const options = { ttlMs: 60_000, earlyRefresh: 1 };
    const first = fleet[0]!.cache.getOrLoad('k', source.load, options);
    await source.run();
    source.runs[0]!.succeed('old');
    await first;
    // As if that load had taken so long that a refresh is always due.
    const stored = (await bed.admin.get('{cache}:k'))!;
    await bed.admin.set('{cache}:k', stored.replace(/^(\S+ \S+ \S+) \d+/, '$1 99999999999'), 'PX', 60_000);
    const read = (): Promise<unknown[]> =>
      Promise.all(fleet.map(({ cache }) => cache.getOrLoad('k', source.load, options)));
    for (let i = 0; i < 3; i++) expect(await read()).toEqual(['old', 'old']);
    expect(source.runs).toHaveLength(2);
    expect(await fleet[0]!.cache.getOrLoad('k', source.load, { ...options, earlyRefresh: 0 })).toBe('old');
    source.runs[1]!.succeed('new');
    await until(async () => (await fleet[1]!.cache.get('k')) === 'new', { what: 'it is refreshed' });
    expect(await read()).toEqual(['new', 'new']);
    expect(source.runs).toHaveLength(2);
  });

  it('notes how long the load took', async () => {
    const { cache } = await bed.member();
    const source = new HeldLoader();
    const call = cache.getOrLoad('k', source.load);
    const run = await source.run();
    const started = performance.now();
    await until(() => performance.now() - started > 60, { what: 'it has taken a while', everyMs: 5 });
    run.succeed('v');
    await call;
    const [, tookMs] = /^\S+ \S+ \S+ (\d+)\n/.exec((await bed.admin.get('{cache}:k'))!)!;
    expect(Number(tookMs)).toBeGreaterThanOrEqual(60);
    await cache.set('set', 1);
    expect(await bed.admin.get('{cache}:set')).toMatch(/^\S+ \S+ \S+ 0\n/);
  });

  it('keeps the value when the refresh fails', async () => {
    const { cache } = await bed.member();
    await cache.getOrLoad('k', () => 'old');
    const stored = (await bed.admin.get('{cache}:k'))!;
    await bed.admin.set('{cache}:k', stored.replace(/^(\S+ \S+ \S+) \d+/, '$1 99999999999'), 'PX', 60_000);
    let attempts = 0;
    for (let i = 0; i < 3; i++) {
      expect(
        await cache.getOrLoad('k', () => {
          attempts++;
          throw new Error('down');
        }),
      ).toBe('old');
    }
    await until(() => attempts > 0, { what: 'it was tried' });
    expect(attempts).toBe(1);
  });
});

describe('jitter', () => {
  it('lets values of one moment expire at different times', async () => {
    const { cache } = await bed.member();
    const keys = Array.from({ length: 30 }, (_, i) => `k${i}`);
    await Promise.all(keys.map((key) => cache.getOrLoad(key, () => 1, { ttlMs: 10_000_000, jitter: 0.5 })));
    const ttls = await Promise.all(keys.map((key) => bed.admin.pttl(`{cache}:${key}`)));
    for (const ttl of ttls) expect(ttl).toBeLessThanOrEqual(10_000_000);
    expect(Math.min(...ttls)).toBeGreaterThanOrEqual(4_990_000);
    // The chance that 30 draws lie within a tenth of the range is 30 · 10^-29.
    expect(Math.max(...ttls) - Math.min(...ttls)).toBeGreaterThan(500_000);
  });
});

describe('version', () => {
  it('keeps apart what apps of different versions cache; tags and clear reach all', async () => {
    const [old, next] = [await bed.member(), await bed.member({ version: '2:b' })];
    const versions = [old.cache, next.cache];
    await old.cache.set('b:k', 'v1', { tags: ['a'] });
    expect(await next.cache.get('b:k')).toBe(undefined);
    expect(await next.cache.getOrLoad('b:k', () => 'v2', { tags: ['a'] })).toBe('v2');
    expect(await next.cache.getOrLoad('k', () => 'v3', { version: '2:b:b' })).toBe('v3');
    const read = (): Promise<unknown[]> => Promise.all(versions.map((cache) => cache.get('b:k')));
    expect(await read()).toEqual(['v1', 'v2']);
    expect(await next.cache.get('b:k', { version: '3' })).toBe(undefined);
    expect(await old.cache.get('b:k', { version: '2:b' })).toBe('v2');
    expect(await next.cache.delete('b:k')).toBe(true);
    expect(await read()).toEqual(['v1', undefined]);
    await next.cache.set('b:k', 'v2', { tags: ['a'] });
    await old.cache.invalidateTags('a');
    expect(await read()).toEqual([undefined, undefined]);
    await expect(old.cache.get('k', { version: '' })).rejects.toEqual(code('SLUICE_BAD_OPTION'));
  });
});

describe("consistency: 'strict'", () => {
  it('joins nothing that began before, whoever loads; one turn is one load', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    const source = new HeldLoader();
    const strict = { consistency: 'strict' as const };
    const turn = Array.from({ length: 5 }, () => a.cache.getOrLoad('k', source.load, strict));
    await source.run();
    const later = a.cache.getOrLoad('k', source.load, strict);
    const bounded = a.cache.getOrLoad('k', source.load);
    await bed.waiters(1);
    source.runs[0]!.succeed('v');
    expect(await Promise.all([...turn, later, bounded])).toEqual(Array(7).fill('v'));
    expect(source.runs).toHaveLength(1);
    const { calls } = await commandDelta(bed.admin, async () => {
      await Promise.all([b.cache.getOrLoad('k', missed, strict), b.cache.getOrLoad('k', missed, strict)]);
    });
    expect(calls['evalsha'] ?? calls['eval']).toBe(1);
  });

  it('does not take what was pushed or answered before the call, but is still on its way', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    const source = new HeldLoader();
    const strict = { consistency: 'strict' as const };
    // The fill of a is stored, but its answer is held back; so is the push to a waiter of a's process.
    const early = a.cache.getOrLoad('k', source.load, strict);
    const run = await source.run();
    const replies = a.connections.get().commands.client.stream;
    replies.pause();
    run.succeed('old');
    await until(async () => (await b.cache.get('k')) === 'old', { what: 'it is stored', everyMs: 2 });
    await b.cache.delete('k');
    const late = a.cache.getOrLoad('k', source.load, strict);
    replies.resume();
    expect(await early).toBe('old');
    (await source.run(2)).succeed('new');
    expect(await late).toBe('new');
  });
});
