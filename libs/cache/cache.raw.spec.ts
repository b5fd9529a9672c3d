import { describe, expect, it } from '@jest/globals';
import { CacheBed } from '../../test/support/cache-bed.js';
import { until } from '../../test/support/until.js';

const bed = new CacheBed();
/** What redis-cli would send. */
const cli = (...words: string[]): Promise<unknown> => bed.admin.call(words[0]!, ...words.slice(1));

describe('cache.raw', () => {
  it('lets one load, and tells the others to wait', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    expect(await a.cache.raw.lock('user:7', 60_000, 5_000)).toBe('LOAD');
    expect(await b.cache.raw.lock('user:7', 60_000, 5_000)).toBe('WAIT');
    expect(await a.cache.raw.lock('user:7', 60_000, 5_000)).toBe('WAIT');
    expect(await cli('TYPE', '{user:7}:~load')).toBe('string');
    const left = Number(await cli('PTTL', '{user:7}:~load'));
    expect(left).toBeGreaterThan(4_000);
    expect(left).toBeLessThanOrEqual(5_000);
  });

  it('locks for the smaller of the two durations', async () => {
    const { cache } = await bed.member();
    await cache.raw.lock('k', 700, 5_000);
    expect(await cli('PTTL', '{k}:~load')).toBeLessThanOrEqual(700);
  });

  it('stores plain strings at the literal key, and releases', async () => {
    const { cache } = await bed.member();
    await cache.raw.lock('user:7', 60_000, 5_000);
    expect(await cache.raw.set('user:7', 'grün "7"', 60_000)).toBe('OK');
    expect(await cli('GET', 'user:7')).toBe('grün "7"');
    expect(Number(await cli('PTTL', 'user:7'))).toBeGreaterThan(50_000);
    expect(await cli('EXISTS', '{user:7}:~load')).toBe(0);
    await cli('SET', 'user:7', 'by redis-cli', 'PX', '1000');
    expect(await cache.raw.get('user:7')).toBe('by redis-cli');
    expect(await cache.raw.get('nothing')).toBeNull();
  });

  it('stores nothing once the lock is lost, and says so', async () => {
    const [slow, other] = [await bed.member(), await bed.member()];
    await slow.cache.raw.lock('k', 60_000, 30);
    await until(async () => (await other.cache.raw.lock('k', 60_000, 5_000)) === 'LOAD', { what: 'the lock expired' });
    await expect(slow.cache.raw.set('k', 'old', 60_000)).rejects.toMatchObject({ code: 'SLUICE_CACHE_LEASE_LOST' });
    expect(await cli('GET', 'k')).toBeNull();
    expect(await cli('EXISTS', '{k}:~load')).toBe(1);
    expect(await other.cache.raw.set('k', 'new', 60_000)).toBe('OK');
    expect(await cli('GET', 'k')).toBe('new');
  });

  it('voids a running load by a plain write', async () => {
    const [loader, writer] = [await bed.member(), await bed.member()];
    await loader.cache.raw.lock('k', 60_000, 5_000);
    expect(await writer.cache.raw.set('k', 'written', 60_000)).toBe('OK');
    await expect(loader.cache.raw.set('k', 'loaded', 60_000)).rejects.toMatchObject({
      code: 'SLUICE_CACHE_LEASE_LOST',
    });
    expect(await cli('GET', 'k')).toBe('written');
    // What was refused once is over: the next write is a plain one.
    expect(await loader.cache.raw.set('k', 'later', 60_000)).toBe('OK');
  });

  it('keeps to the namespace and to names that fit a slot', async () => {
    const { cache } = await bed.member({ namespace: 'shop' });
    await cache.raw.lock('k', 1_000, 1_000);
    await cache.raw.set('{tenant}:k', 'v', 1_000);
    expect((await bed.admin.keys('*')).sort()).toEqual(['shop:{tenant}:k', '{shop:k}:~load']);
    for (const key of ['', 'a{b', 'x:~load']) {
      await expect(cache.raw.lock(key, 1_000, 1_000)).rejects.toMatchObject({ code: 'SLUICE_BAD_NAME' });
    }
    for (const ms of [0, NaN, undefined as unknown as number]) {
      await expect(cache.raw.set('k', 'v', ms)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    }
  });

  it('is no lock of the lock service, and no value of the cache', async () => {
    const { cache } = await bed.member();
    await cli('SET', 'lock:k', 'somebody');
    expect(await cache.raw.lock('k', 1_000, 1_000)).toBe('LOAD');
    await cache.set('k', 'cached');
    expect(await cache.raw.get('k')).toBeNull();
  });
});
