import { describe, expect, it } from '@jest/globals';
import { itAsUsersSendIt } from '../../../test/support/cluster-mode.js';
import { CacheBed, keysLeft } from '../../../test/support/cache-bed.js';
import { HeldLoader, type CacheMember } from '../../../test/support/cache-member.js';
import { commandDelta } from '../../../test/support/command-delta.js';
import { until } from '../../../test/support/until.js';
import type { CacheService } from '../cache.service.js';

const bed = new CacheBed();
const code = (name: string) => expect.objectContaining({ code: name });
const [TAG, RECENT, EPOCH] = ['{cache}~tag:a', '{cache}~recent', '{cache}~epoch'];

const invalidations: [string, (cache: CacheService) => Promise<unknown>][] = [
  ['invalidateTags', (cache) => cache.invalidateTags('a')],
  ['clear', (cache) => cache.clear()],
];

/** Two processes, and a key whose load began before whatever comes now. */
async function during(
  options: object,
): Promise<{ a: CacheMember; b: CacheMember; source: HeldLoader; early: Promise<unknown> }> {
  const [a, b] = [await bed.member(), await bed.member()];
  const source = new HeldLoader();
  const early = a.cache.getOrLoad('k', source.load, options);
  await source.run();
  return { a, b, source, early };
}

describe('invalidateTags and clear', () => {
  it('take a list of any length', async () => {
    // The script takes a second, or many on a busy machine.
    const { cache } = await bed.member({ redis: { url: bed.redis.url, commandTimeoutMs: 120_000 } });
    await cache.set('k', 'v', { tags: ['t150000'] });
    await cache.invalidateTags(Array.from({ length: 200_000 }, (_, i) => `t${i}`));
    expect(await cache.get('k')).toBe(undefined);
    await expect(cache.invalidateTags(['ok', 5 as unknown as string])).rejects.toMatchObject({
      code: 'SLUICE_BAD_NAME',
    });
  });

  it('tell other processes to drop all copies when the names of the tags are too long for a message', async () => {
    const [a, b] = [await bed.member(), await bed.member({ local: {} })];
    await a.cache.set('k', 'old', { tags: ['a'] });
    await until(async () => (await b.cache.getOrLoad('k', () => 'old')) && b.cache.stats().local!.entries === 1, {
      what: 'it has a copy',
      everyMs: 5,
    });
    const listener = bed.admin.duplicate();
    const messages: string[] = [];
    listener.on('message', (_channel, message: string) => messages.push(message));
    try {
      await listener.subscribe(a.connections.get().channel('cache'));
      await a.cache.invalidateTags([...Array.from({ length: 100 }, (_, i) => `${i}`.padStart(1_000, 'x')), 'a']);
      await until(() => messages.length > 0, { what: 'it is announced', everyMs: 5 });
    } finally {
      listener.disconnect();
    }
    // One of a thousand such tags would be a message of a megabyte to every process.
    expect(messages).toEqual([expect.stringMatching(/^.{1,60}all$/s)]);
    await until(() => b.cache.stats().local!.entries === 0, { what: 'the copies are gone', everyMs: 5 });
    expect(await b.cache.getOrLoad('k', () => 'new')).toBe('new');
  });

  it.each(invalidations)('%s: nobody joins a wait that has something older in hand', async (_what, invalidate) => {
    const [a, b] = [await bed.member(), await bed.member()];
    await a.cache.set('k', 'old', { tags: ['a'], ttlMs: 1, staleMs: 60_000 });
    const source = new HeldLoader();
    await until(async () => (await b.cache.get('k')) === undefined, { what: 'it is stale', everyMs: 2 });
    const waitForRefresh = { staleMs: 60_000, softTimeoutMs: 500 };
    const refresh = b.cache.getOrLoad('k', source.load, { ...waitForRefresh, tags: ['a'] });
    await source.run();
    // Who reads here does not know of the tag.
    const early = a.cache.getOrLoad('k', () => 'not needed', waitForRefresh);
    await bed.waiters(1);
    await invalidate(a.cache);
    expect(await a.cache.getOrLoad('k', () => 'new', waitForRefresh)).toBe('new');
    source.runs[0]!.succeed('too late');
    await Promise.all([early, refresh]);
  });

  it('take away what has the tag, or everything, for every process at once', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    await a.cache.set('x', 1, { tags: ['a', 'b'] });
    await a.cache.getOrLoad('y', () => 2, { tags: ['a'] });
    await a.cache.getOrLoad('z', () => 3, { resultTags: (n) => [`n${String(n)}`] });
    await a.cache.set('plain', 4);
    const read = async (): Promise<unknown[]> => Promise.all(['x', 'y', 'z', 'plain'].map((key) => b.cache.get(key)));
    expect(await read()).toEqual([1, 2, 3, 4]);
    await a.cache.invalidateTags('a');
    expect(await read()).toEqual([undefined, undefined, 3, 4]);
    expect(await b.cache.delete('x')).toBe(false);
    await a.cache.invalidateTags('n3', 'other');
    expect(await read()).toEqual([undefined, undefined, undefined, 4]);
    expect(await b.cache.getOrLoad('y', () => 'new', { tags: ['a'] })).toBe('new');
    expect(await a.cache.getOrLoad('y', () => 'newer', { tags: ['a'] })).toBe('new');
    // Known to be there: by the quick look as well.
    expect(await b.cache.getOrLoad('plain', () => 'not needed')).toBe(4);
    await a.cache.clear();
    expect(await read()).toEqual([undefined, undefined, undefined, undefined]);
    expect(await b.cache.getOrLoad('plain', () => 5)).toBe(5);
    expect(await a.cache.getOrLoad('plain', () => 5)).toBe(5);
    expect(await b.cache.getOrLoad('plain', () => 6)).toBe(5);
  });

  it('keep apart whatever strings tags are', async () => {
    const { cache } = await bed.member();
    const tags = ['a b', 'a', 'b', 'a=b', 'a\nb', '{x}', '%20', 'ü', '#', '!', '__proto__'];
    for (const tag of tags) await cache.set(tag, 1, { tags: [tag] });
    for (const [i, tag] of tags.entries()) {
      await cache.invalidateTags(tag);
      const left = await Promise.all(tags.map(async (key) => (await cache.get(key)) === 1));
      expect(left).toEqual(tags.map((_, at) => at > i));
    }
  });

  it.each(['', 5, '\ud800'])('refuse the tag %j', async (tag) => {
    const { cache } = await bed.member();
    await expect(cache.invalidateTags(tag as string)).rejects.toEqual(code('SLUICE_BAD_NAME'));
    await expect(cache.set('k', 1, { tags: [tag as string] })).rejects.toEqual(code('SLUICE_BAD_NAME'));
    const resultTags = (): string[] => [tag as string];
    await expect(cache.getOrLoad('k', () => 1, { resultTags })).rejects.toEqual(code('SLUICE_BAD_NAME'));
  });

  it('take one command, whatever the number of values', async () => {
    const { cache } = await bed.member();
    await Promise.all(Array.from({ length: 500 }, (_, i) => cache.set(`k${i}`, i, { tags: ['a', 'b'] })));
    for (const invalidate of [() => cache.invalidateTags('a', 'b'), () => cache.clear()]) {
      const { calls } = await commandDelta(bed.admin, invalidate);
      delete calls['ping'];
      expect(calls['evalsha'] ?? calls['eval']).toBe(1);
      expect(Object.values(calls).reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(8);
    }
  });

  itAsUsersSendIt('work while Redis is full', async () => {
    const { cache } = await bed.member();
    await cache.set('x', 1, { tags: ['a'] });
    await cache.getOrLoad('y', () => 2, { resultTags: () => ['b'] });
    await cache.set('z', 3);
    await cache.set('plain', 4);
    await bed.admin.config('SET', 'maxmemory', '1');
    try {
      await cache.invalidateTags('a', 'b');
      expect(await Promise.all(['x', 'y', 'z'].map((key) => cache.get(key)))).toEqual([undefined, undefined, 3]);
      expect(await cache.delete('z')).toBe(true);
      expect(await cache.get('z')).toBe(undefined);
      await cache.clear();
      expect(await cache.get('plain')).toBe(undefined);
    } finally {
      await bed.admin.config('SET', 'maxmemory', '0');
    }
  });

  it('leave no state that outlives the values', async () => {
    const { cache } = await bed.member();
    await cache.getOrLoad('k', () => 1, { tags: ['a'], resultTags: () => ['b'], ttlMs: 5_000, loaderTimeoutMs: 1_000 });
    await cache.invalidateTags('c');
    expect(await keysLeft(bed.admin)).toEqual(['{cache}:k']);
    for (const key of [TAG, '{cache}~tag:b', RECENT, EPOCH]) {
      expect(await bed.admin.pttl(key)).toBeGreaterThan(await bed.admin.pttl('{cache}:k'));
      expect(await bed.admin.pttl(key)).toBeLessThanOrEqual(12_000);
    }
    await cache.set('k', 1, { tags: ['a'], ttlMs: 60_000, jitter: 0 });
    for (const key of [TAG, EPOCH]) expect(await bed.admin.pttl(key)).toBeGreaterThan(60_000);
  });
});

describe.each(invalidations)('%s during a load', (verb, invalidate) => {
  it.each([
    ['with the tag', { tags: ['a'] }],
    ['whose result has the tag', { resultTags: () => ['a'] }],
  ])('%s: what it loaded is never stored, and who joined it later gets what is new', async (_which, options) => {
    for (const mine of [true, false]) {
      const { a, b, source, early } = await during(options);
      const joined = a.cache.getOrLoad('k', source.load, options);
      await invalidate((mine ? a : b).cache);
      source.runs[0]!.succeed('old');
      expect(await early).toBe('old');
      (await source.run(2)).succeed('new');
      expect(await joined).toBe('new');
      expect(await b.cache.getOrLoad('k', source.load, options)).toBe('new');
      expect(await a.cache.get('k')).toBe('new');
      expect(source.runs).toHaveLength(2);
      await bed.admin.flushall();
    }
  });

  it('who asks afterwards, in whatever process, does not wait for it', async () => {
    for (const mine of [true, false]) {
      const { a, b, source, early } = await during({ tags: ['a'] });
      await invalidate(a.cache);
      const after = (mine ? a : b).cache.getOrLoad('k', source.load, { tags: ['a'] });
      (await source.run(2)).succeed('new');
      expect(await after).toBe('new');
      source.runs[0]!.succeed('old');
      // In process b, the loser asks for what replaced it.
      expect(['old', 'new']).toContain(await early);
      expect(await b.cache.get('k')).toBe('new');
      await bed.admin.flushall();
    }
  });

  it('who asks afterwards does not wait until the loading process knows', async () => {
    // It hears no news, and learns with its next renewal, in 20 s.
    const [a, b] = [await bed.member({ local: false, leaseMs: 60_000 }), await bed.member()];
    const source = new HeldLoader();
    const early = a.cache.getOrLoad('k', source.load, { tags: ['a'] });
    await source.run();
    await invalidate(b.cache);
    const from = performance.now();
    const after = b.cache.getOrLoad('k', source.load, { tags: ['a'] });
    (await source.run(2)).succeed('new');
    expect(performance.now() - from).toBeLessThan(15_000);
    expect(await after).toBe('new');
    source.runs[0]!.succeed('old');
    expect(await early).toBe('old');
  });

  it(`${verb} sends those who wait elsewhere back to ask`, async () => {
    const { b, source, early } = await during({ tags: ['a'] });
    const waiting = b.cache.getOrLoad('k', source.load, { tags: ['a'] });
    await bed.waiters(1);
    await invalidate(b.cache);
    source.runs[0]!.succeed('old');
    (await source.run(2)).succeed('new');
    expect([await early, await waiting]).toEqual(['old', 'new']);
  });
});

describe('tags that only the result names', () => {
  const options = { resultTags: (value: unknown) => [`tag ${String(value)}`] };

  it('void no load that began after, nor one whose result has others', async () => {
    const { cache } = await bed.member();
    const source = new HeldLoader();
    await cache.invalidateTags('tag v');
    const first = cache.getOrLoad('k', source.load, options);
    await cache.invalidateTags('tag w');
    (await source.run()).succeed('v');
    await first;
    expect(await cache.getOrLoad('k', source.load, options)).toBe('v');
    expect(source.runs).toHaveLength(1);
    await cache.invalidateTags('tag v');
    expect(await cache.get('k')).toBe(undefined);
    // Named before, and invalidated since: no reason to refuse the next load.
    const second = cache.getOrLoad('k', source.load, options);
    (await source.run(2)).succeed('v');
    await second;
    expect(await cache.get('k')).toBe('v');
  });

  it.each<[string, (cache: CacheService) => Promise<unknown>]>([
    ['what knew of the invalidation is lost', () => bed.admin.del(RECENT)],
    [
      'what knew of it is lost, and made anew by another load',
      async (cache) => {
        await bed.admin.del(RECENT);
        await cache.getOrLoad('other', () => 'v', { resultTags: () => [] });
      },
    ],
    [
      'so many were invalidated that it is forgotten',
      (cache) => cache.invalidateTags(...Array.from({ length: 10_001 }, (_, i) => `n${i}`)),
    ],
    ['the epoch that it made is lost again', () => bed.admin.del('{cache}~tag:tag%20v')],
  ])('if %s, the load is void all the same', async (_how, lose) => {
    const { a, b, source, early } = await during(options);
    await b.cache.invalidateTags('tag v');
    await lose(b.cache);
    source.runs[0]!.succeed('v');
    await early;
    expect(await b.cache.get('k')).toBe(undefined);
    const next = a.cache.getOrLoad('k', source.load, options);
    (await source.run(2)).succeed('v');
    await next;
    expect(await b.cache.get('k')).toBe('v');
  });

  it('are remembered, but not without end', async () => {
    const { cache } = await bed.member();
    await cache.getOrLoad('k', () => 'v', options);
    for (let round = 0; round < 3; round++) {
      await cache.invalidateTags(...Array.from({ length: 5_000 }, (_, i) => `${round} ${i}`));
    }
    expect(await bed.admin.zcard(RECENT)).toBeLessThanOrEqual(10_001);
    expect((await bed.admin.zrange(RECENT, '0', '0'))[0]).toMatch(/^#/);
    expect(await cache.get('k')).toBe('v');
  });
});

describe('epochs that are lost', () => {
  it.each([
    ['of the tag', TAG],
    ['of everything', EPOCH],
  ])('%s: what was invalidated before stays away, also once there is a new one', async (_which, lost) => {
    const [a, b] = [await bed.member(), await bed.member()];
    await a.cache.set('k', 'old', { tags: ['a'] });
    // Known to be there: by the quick look as well.
    await b.cache.getOrLoad('k', () => 'unused', { tags: ['a'] });
    await a.cache.invalidateTags('a');
    await bed.admin.del(lost);
    expect(await b.cache.get('k')).toBe(undefined);
    await a.cache.set('other', 1, { tags: ['a'] });
    expect(await b.cache.get('k')).toBe(undefined);
    expect(await b.cache.getOrLoad('k', () => 'new', { tags: ['a'] })).toBe('new');
  });

  it('void a load that runs', async () => {
    for (const lost of [TAG, EPOCH]) {
      const { b, source, early } = await during({ tags: ['a'] });
      await bed.admin.del(lost);
      source.runs[0]!.succeed('v');
      expect(await early).toBe('v');
      expect(await b.cache.get('k')).toBe(undefined);
      await bed.admin.flushall();
    }
  });
});

describe('a hit', () => {
  it('does not take the epoch of one tag for that of another, though both were minted at once', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    await a.cache.set('other', 1, { tags: ['a', 'c'] });
    await a.cache.set('k', 'of a', { tags: ['a'] });
    expect(await b.cache.getOrLoad('k', () => 'not needed')).toBe('of a');
    await a.cache.set('k', 'of c', { tags: ['c'] });
    await a.cache.invalidateTags('c');
    expect(await b.cache.getOrLoad('k', () => 'new')).toBe('new');
  });

  it('of a tagged value is one command, and none of an untagged one looks at a tag', async () => {
    const { cache } = await bed.member();
    await cache.set('tagged', 1, { tags: ['a', 'b'] });
    await cache.set('plain', 2);
    const miss = (): never => {
      throw new Error('a miss');
    };
    const first = await commandDelta(bed.admin, () => cache.getOrLoad('tagged', miss));
    expect(first.calls['evalsha'] ?? first.calls['eval']).toBe(1);
    const second = await commandDelta(bed.admin, () => cache.getOrLoad('tagged', miss));
    delete second.calls['ping'];
    expect(second.calls).toEqual({ mget: 1 });
    const plain = await commandDelta(bed.admin, () => cache.getOrLoad('plain', miss));
    expect(plain.calls['get']).toBe(2);
    await cache.set('tagged', 3, { tags: ['c'] });
    expect(await cache.getOrLoad('tagged', miss)).toBe(3);
    await cache.invalidateTags('c');
    expect(await cache.getOrLoad('tagged', () => 4)).toBe(4);
  });
});
