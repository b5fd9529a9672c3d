import { describe, expect, it } from '@jest/globals';
import { CacheBed } from '../../../test/support/cache-bed.js';
import type { CacheMember } from '../../../test/support/cache-member.js';
import { commandDelta } from '../../../test/support/command-delta.js';
import { SOON_MS, until } from '../../../test/support/until.js';
import { encode } from '../codec/codec.js';

const bed = new CacheBed();
const local = (options = {}): Promise<CacheMember> => bed.member({ local: true, earlyRefresh: 0, ...options });

/** What a server did for the cache: not the questions whether a socket lives. */
async function askedOf(work: () => Promise<unknown>): Promise<Record<string, number>> {
  const { calls } = await commandDelta(bed.admin, work);
  return Object.fromEntries(Object.entries(calls).filter(([command]) => command !== 'ping'));
}

/** Also the announcement of what this process set itself makes its copies go, once it arrives. */
async function answersLocally(cache: CacheMember['cache']): Promise<void> {
  await until(
    async () => {
      const { local: before } = cache.stats().total.hits;
      for (let i = 0; i < 10; i++) await cache.getOrLoad('k', () => 'never');
      return cache.stats().total.hits.local === before + 10;
    },
    { what: 'it answers locally' },
  );
}

/** A value in both processes' local tiers. */
async function both(value: unknown, options = {}): Promise<[CacheMember, CacheMember]> {
  const members = [await local(), await local()] as [CacheMember, CacheMember];
  for (const { cache } of members) {
    for (let i = 0; i < 2; i++) expect(await cache.getOrLoad('k', () => value, options)).toEqual(value);
    expect(cache.stats().local?.entries).toBe(1);
  }
  return members;
}

const read = ({ cache }: CacheMember): Promise<unknown> => cache.getOrLoad('k', () => 'from the source');

describe('the local tier', () => {
  it('finds nothing for what is no key', async () => {
    const { cache } = await local();
    await cache.set('undefined', 'of somebody');
    await until(async () => (await cache.get('undefined')) && cache.stats().local?.entries === 1, {
      what: 'it is kept',
    });
    for (const ask of [() => cache.get(undefined as never), () => cache.getOrLoad(undefined as never, () => 1)]) {
      await expect(ask()).rejects.toMatchObject({ code: 'SLUICE_BAD_NAME' });
    }
  });

  it('answers without asking Redis, a copy to each caller', async () => {
    const { cache } = await local();
    await cache.set('k', { list: [1] });
    const reads = async (): Promise<void> => {
      for (let i = 0; i < 100; i++) {
        const mine = await cache.getOrLoad<{ list: number[] }>('k', () => ({ list: [] }));
        expect(mine).toEqual({ list: [1] });
        mine.list.push(2);
        expect(await cache.get('k')).toEqual({ list: [1] });
      }
    };
    const asksNothing = async (): Promise<boolean> => {
      await answersLocally(cache);
      return Object.keys(await askedOf(reads)).length === 0;
    };
    // Not at the first try where this process stood still in between: copies are not trusted after that.
    await until(asksNothing, { what: '200 reads ask nothing' });
    expect(cache.stats().total.hits.local).toBeGreaterThanOrEqual(200);
  });

  it('is off where it is switched off, and asks Redis every time', async () => {
    for (const { cache } of [await local({ local: false }), await local({ local: undefined, consistency: 'strict' })]) {
      await cache.set('k', 1);
      for (let i = 0; i < 3; i++) await cache.getOrLoad('k', () => 2);
      expect(cache.stats().total.hits).toEqual({ local: 0, redis: 3, stale: 0 });
    }
    const { cache } = await local();
    for (const options of [{ local: false }, { consistency: 'strict' as const }]) {
      await cache.set('k', 1);
      for (let i = 0; i < 3; i++) await cache.getOrLoad('k', () => 2, options);
      expect(cache.stats().local?.entries).toBe(0);
    }
    await expect(cache.getOrLoad('x', () => 1, { local: true, consistency: 'strict' })).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
    });
  });

  it.each<[string, (by: CacheMember) => Promise<unknown>, unknown]>([
    ['a delete', ({ cache }) => cache.delete('k'), 'from the source'],
    ['a set', ({ cache }) => cache.set('k', 'set'), 'set'],
    ['its tag', ({ cache }) => cache.invalidateTags('other', 'a tag'), 'from the source'],
    ['a clear', ({ cache }) => cache.clear(), 'from the source'],
  ])('%s of another process reaches it, and the own at once', async (_what, invalidate, expected) => {
    const [a, b] = await both('old', { tags: ['a tag'] });
    await invalidate(a);
    expect(await read(a)).toBe(expected);
    await until(async () => (await read(b)) === expected, {
      what: 'the other process knows',
      everyMs: 1,
      deadlineMs: SOON_MS,
    });
  });

  it('leaves what has other tags alone', async () => {
    const [a, b] = await both('old', { tags: ['a'] });
    await a.cache.invalidateTags('b');
    await a.cache.set('marker', 1, { tags: ['c'] });
    await until(async () => (await b.cache.get('marker')) === 1, { what: 'b has heard' });
    expect(await askedOf(() => read(b))).toEqual({});
  });

  it('never outlives the entry', async () => {
    const { cache } = await local();
    await cache.getOrLoad('k', () => 'old', { ttlMs: 150, jitter: 0 });
    expect(await cache.getOrLoad('k', () => 'new')).toBe('old');
    await until(async () => (await bed.admin.exists('{cache}:k')) === 0, { what: 'the value expired', everyMs: 2 });
    expect(await cache.getOrLoad('k', () => 'new')).toBe('new');
  });

  it('keeps no stale value', async () => {
    const { cache } = await local();
    const options = { ttlMs: 50, staleMs: 60_000, jitter: 0 };
    await cache.getOrLoad('k', () => 'old', options);
    await until(() => cache.getOrLoad('k', () => 'new', options).then((value) => value === 'new'), {
      what: 'a refresh',
    });
    await until(() => cache.stats().total.hits.stale > 0, { what: 'a stale hit' });
  });

  it('keeps nothing of an answer that an invalidation overtook', async () => {
    const [a, b] = [await local(), await local()];
    await a.cache.set('k', 'old');
    const asked = read(b);
    const gone = a.cache.delete('k');
    await Promise.all([asked, gone]);
    await until(async () => (await read(b)) !== 'old', { what: 'b reads fresh', deadlineMs: SOON_MS });
  });

  it('is bypassed while its subscription is down, and empty after it', async () => {
    const [a, b] = await both('old');
    await bed.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await a.cache.delete('k');
    await until(async () => (await read(b)) === 'from the source', { what: 'b reads fresh', deadlineMs: SOON_MS });
  });

  it('reads through again when Redis lost its counter', async () => {
    const [a, b] = await both('old');
    await a.cache.set('other', 1);
    await bed.admin.flushall();
    await a.cache.set('another', 1);
    await until(async () => (await read(b)) === 'from the source', {
      what: 'b dropped everything',
      deadlineMs: SOON_MS,
    });
  });

  it('revives what it keeps, and takes what cannot be revived for a miss', async () => {
    class Money {
      constructor(readonly cents: number) {}
    }
    let accept = true;
    const revive = (data: unknown): Money => {
      if (!accept) throw new TypeError('another shape');
      return new Money((data as Money).cents);
    };
    const { cache } = await local();
    const get = (cents: number): Promise<Money> => cache.getOrLoad('k', () => new Money(cents), { revive });
    for (let i = 0; i < 3; i++) {
      const money = await get(5);
      expect(money).toBeInstanceOf(Money);
      expect(money.cents).toBe(5);
    }
    accept = false;
    const again = get(6);
    await expect(again).rejects.toThrow('another shape');
    expect(cache.stats().total.broken).toBeGreaterThan(0);
    expect(await bed.admin.exists('{cache}:k')).toBe(0);
  });

  it('packs long texts, for everybody to read', async () => {
    const [packing, plain] = [await local({ compression: { threshold: 100 } }), await local()];
    const value = Array.from({ length: 100 }, (_, id) => ({ id, name: 'a name' }));
    await packing.cache.getOrLoad('k', () => value);
    await packing.cache.set('l', value);
    for (const key of ['k', 'l']) {
      expect(await bed.admin.strlen(`{cache}:${key}`)).toBeLessThan(encode(value).length / 3);
      expect(await plain.cache.getOrLoad(key, () => 'never')).toEqual(value);
      expect(await packing.cache.getOrLoad(key, () => 'never')).toEqual(value);
    }
  });

  it('counts per method and tells who listens', async () => {
    const { cache } = await local();
    const { subscribe, unsubscribe } = await import('node:diagnostics_channel');
    const heard: unknown[] = [];
    const listen = (message: unknown): void => void heard.push(message);
    subscribe('sluice:cache:hit', listen);
    subscribe('sluice:cache:load', listen);
    await Promise.all([cache.getOrLoad('k', () => 1), cache.getOrLoad('k', () => 1)]);
    await cache.getOrLoad('k', () => 1);
    await cache.getOrLoad('k', () => 1);
    await cache.get('nothing');
    await expect(cache.getOrLoad('e', () => Promise.reject(new Error('x')), { errorBackoffMs: 0 })).rejects.toThrow(
      'x',
    );
    unsubscribe('sluice:cache:hit', listen);
    unsubscribe('sluice:cache:load', listen);
    const { total, methods } = cache.stats();
    expect(total).toMatchObject({
      hits: { local: 1, redis: 1, stale: 0 },
      misses: 3,
      loads: 2,
      coalesced: 1,
      errors: 1,
    });
    expect(methods['get']).toMatchObject({ misses: 1, loads: 0 });
    expect(total.loadMs).toBeGreaterThanOrEqual(0);
    expect(heard).toEqual([
      { key: 'k', method: 'getOrLoad', ms: expect.any(Number) },
      { key: 'k', method: 'getOrLoad', from: 'redis' },
      { key: 'k', method: 'getOrLoad', from: 'local' },
      { key: 'e', method: 'getOrLoad', ms: expect.any(Number) },
    ]);
  });

  it('counts waits, voided fills and broken values', async () => {
    const [a, b] = [await local(), await local()];
    let finish!: (value: string) => void;
    const loading = a.cache.getOrLoad('k', () => new Promise<string>((resolve) => (finish = resolve)));
    await until(async () => (await bed.admin.exists('{cache}~lease:k')) === 1, { what: 'a loads' });
    const waiting = read(b);
    await bed.waiters(1);
    finish('loaded');
    expect(await Promise.all([loading, waiting])).toEqual(['loaded', 'loaded']);
    expect(b.cache.stats().total).toMatchObject({ waits: 1, misses: 1, loads: 0 });

    const voided = a.cache.getOrLoad('v', async () => {
      await b.cache.delete('v');
      return 'old';
    });
    expect(await voided).toBe('old');
    expect(a.cache.stats().total.voided).toBe(1);

    const stored = (await bed.admin.get('{cache}:k'))!;
    await bed.admin.set('{cache}:k', stored.replace('loaded', '\\x'), 'PX', 10_000);
    a.cache.stats();
    const c = await local();
    expect(await read(c)).toBe('from the source');
    expect(c.cache.stats().total.broken).toBeGreaterThan(0);
  });
});
