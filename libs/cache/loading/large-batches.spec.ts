import { describe, expect, it } from '@jest/globals';
import { CacheBed } from '../../../test/support/cache-bed.js';
import { commandDelta } from '../../../test/support/command-delta.js';

const bed = new CacheBed();
const KEYS = Array.from({ length: 20_000 }, (_, i) => `k${i}`);
const valuesOf = (keys: readonly string[]): string[] => keys.map((key) => `value of ${key}`);

describe('a batch of 20,000 keys', () => {
  it('is loaded in parts, stored, and found', async () => {
    const [a, b, c] = [
      await bed.member({ readTimeoutMs: 20_000, leaseMs: 60_000 }),
      await bed.member({ readTimeoutMs: 20_000, leaseMs: 60_000 }),
      await bed.member({ readTimeoutMs: 20_000, leaseMs: 60_000 }),
    ];
    const calls: number[] = [];
    const load = (keys: readonly string[]): string[] => {
      calls.push(keys.length);
      return valuesOf(keys);
    };
    const options = { earlyRefresh: 0, ttlMs: 3_600_000 };
    expect(await a.cache.getOrLoadMany(KEYS, load, options)).toEqual(valuesOf(KEYS));
    const parts = Array<number>(40).fill(500);
    expect(calls).toEqual(parts);
    for (const { cache } of [a, b]) expect(await cache.getOrLoadMany(KEYS, load, options)).toEqual(valuesOf(KEYS));
    expect(calls).toEqual(parts);
    const found = await commandDelta(bed.admin, () => c.cache.getMany(KEYS));
    expect(found.calls['evalsha']).toBe(200);
    expect(await c.cache.getMany(KEYS)).toEqual(valuesOf(KEYS));
    for (const { cache } of [a, b, c])
      expect(cache.stats().total).toMatchObject({ voided: 0, bypassed: { timeout: 0, breaker: 0 } });
  });
});
