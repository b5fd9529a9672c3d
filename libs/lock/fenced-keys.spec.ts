import { describe, expect, it } from '@jest/globals';
import { LockBed } from '../../test/support/lock-bed.js';
import { until } from '../../test/support/until.js';
import type { FencedSetOptions } from './index.js';

const bed = new LockBed();

describe('a fenced key', () => {
  it('is written by the holder, again and again, and by its successors', async () => {
    const locks = await bed.service();
    for (const value of ['first', 'second']) {
      await locks.withLock('x', async ({ fencingToken }) => {
        await locks.fenced.set('balance', 'to be overwritten', fencingToken);
        await locks.fenced.set('balance', value, fencingToken);
      });
      expect(await bed.admin.get('balance')).toBe(value);
    }
    expect(await bed.admin.pttl('balance')).toBe(-1);
  });

  it('refuses the one who was paused beyond his lease, once his successor has written', async () => {
    const [a, b] = [await bed.service(), await bed.service()];
    const late = await a.acquire('x', { ttlMs: 50, renew: false });
    await a.fenced.set('balance', '1', late.fencingToken);
    const successor = await b.acquire('x');
    await b.fenced.set('balance', '2', successor.fencingToken);
    const refused = { code: 'SLUICE_STALE_TOKEN', key: 'balance', fencingToken: late.fencingToken };
    const seenToken = successor.fencingToken;
    await expect(a.fenced.set('balance', '3', late.fencingToken)).rejects.toMatchObject({ ...refused, seenToken });
    await expect(a.fenced.delete('balance', late.fencingToken)).rejects.toMatchObject({ ...refused, seenToken });
    expect(await bed.admin.get('balance')).toBe('2');
    await b.fenced.set('balance', '4', successor.fencingToken);
    expect(await bed.admin.get('balance')).toBe('4');
  });

  it('is not written anew by a late holder after it was deleted or has expired', async () => {
    const { fenced } = await bed.service();
    await fenced.set('gone', 'x', 7, { ttlMs: 20 });
    await until(async () => (await bed.admin.exists('gone')) === 0, { what: 'it has expired', everyMs: 5 });
    await expect(fenced.set('gone', 'y', 6)).rejects.toMatchObject({ seenToken: 7 });
    await fenced.set('gone', 'x', 8);
    await fenced.delete('gone', 9);
    await fenced.delete('gone', 9);
    await expect(fenced.set('gone', 'y', 8)).rejects.toMatchObject({ seenToken: 9 });
    expect(await bed.admin.keys('*')).toEqual(['{gone}:~fenced']);
  });

  it('tells tokens apart by their last digit', async () => {
    const { fenced } = await bed.service();
    const token = Number.MAX_SAFE_INTEGER;
    await fenced.set('k', 'new', token);
    await expect(fenced.set('k', 'old', token - 1)).rejects.toMatchObject({ seenToken: token });
  });

  it('keeps bytes as they are, and the token a week, or as long as the value, or as told', async () => {
    const { fenced } = await bed.service({ namespace: 'shop' });
    const bytes = Buffer.from([0, 255, 128]);
    const week = 604_800_000;
    await fenced.set('{tag}k', bytes, 1, { ttlMs: 60_000 });
    expect(await bed.admin.getBuffer('{tag}k')).toEqual(bytes);
    expect(await bed.admin.pttl('{tag}k')).toBeLessThanOrEqual(60_000);
    expect(await bed.admin.pttl('{tag}k:~fenced')).toBeGreaterThan(week - 60_000);
    await fenced.set('{tag}k', bytes, 1, { ttlMs: 60_000, rememberMs: 1 });
    expect(await bed.admin.pttl('{tag}k:~fenced')).toBeGreaterThan(50_000);
    await fenced.set('{tag}k', bytes, 1, { rememberMs: 120_000 });
    expect(await bed.admin.pttl('{tag}k:~fenced')).toBeLessThanOrEqual(120_000);
    expect(await bed.admin.pttl('{tag}k')).toBe(-1);
  });

  it.each<[string, unknown, unknown, FencedSetOptions | { ttl: number }, string]>([
    ['', 'v', 1, {}, 'SLUICE_BAD_NAME'],
    ['k', 7, 1, {}, 'SLUICE_BAD_OPTION'],
    ['k', 'v', undefined, {}, 'SLUICE_BAD_OPTION'],
    ['k', 'v', 1.5, {}, 'SLUICE_BAD_OPTION'],
    ['k', 'v', 0, {}, 'SLUICE_BAD_OPTION'],
    ['k', 'v', 1, { ttl: 5 }, 'SLUICE_BAD_OPTION'],
    ['k', 'v', 1, { ttlMs: 0 }, 'SLUICE_BAD_OPTION'],
  ])('refuses key %j, value %j, token %j, options %j', async (key, value, token, options, code) => {
    const { fenced } = await bed.service();
    await expect(fenced.set(key, value as string, token as number, options as FencedSetOptions)).rejects.toMatchObject({
      code,
    });
    expect(await bed.admin.keys('*')).toEqual([]);
  });
});
