import { describe, expect, it } from '@jest/globals';
import { CacheBed } from '../../../test/support/cache-bed.js';
import type { CacheMember } from '../../../test/support/cache-member.js';
import { commandDelta } from '../../../test/support/command-delta.js';
import { until } from '../../../test/support/until.js';

// What is missed here is missed for ever: no need to wait for it longer.
const bed = new CacheBed();
const missed = (): never => {
  throw new Error('a miss');
};

/** How many looks of one turn at these keys there are on the server, and what they find. */
async function turn({ cache }: CacheMember, keys: readonly string[]): Promise<{ found: unknown[]; commands: unknown }> {
  let found: unknown[] = [];
  const { calls } = await commandDelta(bed.admin, async () => {
    found = await Promise.all(keys.map((key) => cache.getOrLoad(key, missed)));
  });
  delete calls['ping'];
  return { found, commands: calls };
}

const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `k${i}`);

describe('the looks of one turn of the event loop', () => {
  it('are one command, and each finds what is its own', async () => {
    const member = await bed.member();
    const keys = numbered(40);
    for (const [i, key] of keys.entries()) {
      await member.cache.set(key, { i }, i % 4 === 0 ? {} : { tags: ['all', `of ${i % 4}`] });
    }
    // The first time it is not known what they have.
    await turn(member, keys);
    const expected = keys.map((_, i) => ({ i }));
    expect(await turn(member, keys)).toEqual({ found: expected, commands: { mget: 1 } });
    await member.cache.invalidateTags('of 2');
    const found = await Promise.all(keys.map((key) => member.cache.getOrLoad(key, () => 'new')));
    expect(found).toEqual(expected.map((value) => (value.i % 4 === 2 ? 'new' : value)));
  });

  it('are several if they are many, or what they bring is large', async () => {
    const member = await bed.member();
    const many = numbered(200);
    for (const key of many) await member.cache.set(key, key);
    await turn(member, many);
    expect(await turn(member, many)).toEqual({ found: many, commands: { mget: 4 } });
    const large = many.slice(0, 6).map((key) => key.padEnd(40_000));
    for (const [i, value] of large.entries()) await member.cache.set(`k${i}`, value);
    await turn(member, many.slice(0, 6));
    expect(await turn(member, many.slice(0, 6))).toEqual({ found: large, commands: { mget: 3 } });
  });

  it('decide nothing for one another: what is gone is loaded, the rest is found', async () => {
    const member = await bed.member();
    const keys = numbered(6);
    for (const key of keys) await member.cache.set(key, 'there');
    await turn(member, keys);
    await bed.admin.del('{cache}:k1');
    await bed.admin.set('{cache}:k2', 'no header');
    await bed.admin.del('{cache}:k3');
    await bed.admin.lpush('{cache}:k3', 'no string');
    await bed.admin.set('{cache}:k4', '^1 \n"nothing in the header"');
    const found = await Promise.all(keys.map((key) => member.cache.getOrLoad(key, () => 'loaded')));
    expect(found).toEqual(['there', 'loaded', 'loaded', 'loaded', 'loaded', 'there']);
  });

  it('wait for a Redis that hangs no more often than one would', async () => {
    const member = await bed.member({ readTimeoutMs: 2_000 });
    const keys = numbered(20);
    for (const key of keys) await member.cache.set(key, 'there');
    await turn(member, keys);
    bed.redis.pause();
    const waited = async (): Promise<number> => {
      const from = performance.now();
      const took = keys.map(async (key) => {
        expect(await member.cache.getOrLoad(key, () => 'source')).toBe('source');
        return performance.now() - from;
      });
      return (await Promise.all(took)).filter((ms) => ms > 1_800).length;
    };
    try {
      expect(await waited()).toBe(20);
      // Each time that one tries again, one alone waits.
      let tries = 0;
      await until(
        async () => {
          const count = await waited();
          expect(count).toBeLessThan(2);
          return (tries += count) === 2;
        },
        { what: 'two more have tried', everyMs: 20 },
      );
    } finally {
      bed.redis.resume();
    }
  });
});
