import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { BEGIN_US, LimitBed, bucket, fixed, moves, pace, sliding, worst } from '../../../test/support/limit-bed.js';

const bed = new LimitBed();
const { run } = bed;

describe('a sliding window', () => {
  it.each([5, 60, 64, 65, 1_000, 100_000])(
    'of %d never holds more, whatever comes, also after the clock was set back',
    async (limit) => {
      const rule = sliding(limit);
      await fc.assert(
        fc.asyncProperty(moves(rule.spanMs, Math.max(2, Math.ceil(limit / 3))), async (steps) => {
          await bed.admin.del('k');
          const admitted: { at: number; units: number }[] = [];
          let [now, passed] = [BEGIN_US, 0];
          for (const { waitUs, cost, calls, back } of steps) {
            passed += waitUs;
            now += waitUs - back;
            const { granted } = await run(now, rule, { cost, calls });
            // By a clock that nobody sets.
            if (granted > 0) admitted.push({ at: passed, units: granted * cost });
          }
          expect(worst(admitted, rule.spanMs)).toBeLessThanOrEqual(limit);
        }),
        { numRuns: 25 },
      );
    },
  );

  it('of at most 64 admits exactly what fits', async () => {
    const rule = sliding(10);
    await fc.assert(
      fc.asyncProperty(moves(rule.spanMs, 4), async (steps) => {
        await bed.admin.del('k');
        const admitted: { at: number; units: number }[] = [];
        let now = BEGIN_US;
        for (const { waitUs, cost, calls } of steps) {
          now += Math.ceil(waitUs / 1_000) * 1_000;
          const used = admitted.filter(({ at }) => at > now - 60_000_000).reduce((sum, { units }) => sum + units, 0);
          const fits = Math.min(calls, Math.floor((10 - used) / cost));
          const { granted, left } = await run(now, rule, { cost, calls });
          expect({ granted, left }).toEqual({ granted: fits, left: 10 - used - fits * cost });
          if (granted > 0) admitted.push({ at: now, units: granted * cost });
        }
      }),
      { numRuns: 40 },
    );
  });

  it('of more than 64 admits exactly what leaves room in 31 slots', async () => {
    const rule = sliding(100);
    await fc.assert(
      fc.asyncProperty(moves(rule.spanMs, 40), async (steps) => {
        await bed.admin.del('k');
        const slots = new Map<number, number>();
        let now = BEGIN_US;
        for (const { waitUs, cost, calls } of steps) {
          now += waitUs;
          const slot = Math.floor(now / 2_000_000);
          const used = [...slots].reduce((sum, [of, units]) => sum + (of >= slot - 30 ? units : 0), 0);
          const fits = Math.min(calls, Math.floor((100 - used) / cost));
          const { granted, left } = await run(now, rule, { cost, calls });
          expect({ granted, left }).toEqual({ granted: fits, left: 100 - used - fits * cost });
          slots.set(slot, (slots.get(slot) ?? 0) + granted * cost);
        }
      }),
      { numRuns: 40 },
    );
  });

  it.each([7, 64, 65, 5_000])(
    'of %d stays within the smallest limit since, while limit and length change',
    async (limit) => {
      await fc.assert(
        fc.asyncProperty(moves(60_000, 3, 40), fc.infiniteStream(fc.constantFrom(1, 2, 30)), async (steps, factors) => {
          await bed.admin.del('k');
          const admitted: { at: number; units: number }[] = [];
          let now = BEGIN_US;
          let most = limit;
          for (const { waitUs, cost, calls } of steps) {
            now += waitUs;
            const { value: factor } = factors.next() as { value: number };
            const rule = sliding(Math.ceil(limit / factor), 60_000 + factor * 1_000);
            most = Math.max(most, rule.limit);
            const { granted } = await run(now, rule, { cost, calls });
            if (granted > 0) {
              admitted.push({ at: now, units: granted * cost });
              // The windows that end now hold no more than the limit that admitted this.
              const inside = admitted.filter(({ at }) => at > now - 61_000_000);
              expect(inside.reduce((sum, { units }) => sum + units, 0)).toBeLessThanOrEqual(rule.limit);
            }
          }
          expect(worst(admitted, 60_000)).toBeLessThanOrEqual(most);
        }),
        { numRuns: 25 },
      );
    },
  );

  it('takes units of another configuration to be as young as they may be', async () => {
    const [short, long, ring] = [sliding(100), sliding(100, 61_000), sliding(60)];
    // The end of a slot of 2 s, whose begin is the end of a slot of the longer window.
    let at = Math.ceil(BEGIN_US / 2_000_000) * 2_000_000 - 1;
    while ((at - 2_000_000) % 2_033_334 < 2_000_000) at += 2_000_000;
    await run(at, short, { calls: 100 });
    expect((await run(at + 60_500_000, long)).granted).toBe(0);
    expect((await run(at + 59_000_000, ring)).granted).toBe(0);
    expect((await run(at + 62_100_000, ring)).granted).toBe(1);
  });

  it.each([5, 100])('of %d that is full is open again after the time that it names, not 1 ms before', async (limit) => {
    const rule = sliding(limit);
    await run(BEGIN_US + 123, rule, { calls: 2 });
    await run(BEGIN_US + 7_654_321, rule, { calls: limit - 2 });
    const { granted, after } = await run(BEGIN_US + 9_000_001, rule, { cost: 3 });
    expect(granted).toBe(0);
    const before = await bed.admin.dump('k');
    const waitUs = Math.ceil(after / 1_000) * 1_000;
    expect((await run(BEGIN_US + 9_000_001 + waitUs - 1_000, rule, { cost: 3 })).granted).toBe(0);
    expect(await bed.admin.dump('k')).toBe(before);
    expect((await run(BEGIN_US + 9_000_001 + waitUs, rule, { cost: 3 })).granted).toBe(1);
  });

  it.each([5, 100])('of %d gives back the units of one instant only, and none of before a reset', async (limit) => {
    const rule = sliding(limit);
    const [first, second] = [BEGIN_US, BEGIN_US + 30_000_000];
    await run(first, rule, { calls: limit - 2 });
    await run(second, rule, { calls: 2 });
    await run(second + 1_000, rule, { what: 'refund', cost: 2, at: first });
    // Two of the first instant are gone, so they cannot free two more when that instant lapses.
    expect((await run(first + 62_000_000, rule)).left).toBe(limit - 3);
    await bed.admin.del('k');
    await run(second + 70_000_000, rule, { calls: limit });
    const full = await run(second + 70_001_000, rule, { what: 'refund', cost: 2, at: second });
    expect(full.left).toBe(0);
    expect((await run(second + 70_002_000, rule, { what: 'refund', cost: 2 })).left).toBe(2);
    // Also of before a reset in the same millisecond.
    await bed.admin.del('k');
    const third = second + 200_000_000;
    await run(third + 100, rule, { calls: limit });
    expect((await run(third + 200, rule, { what: 'refund', cost: 2, at: third })).left).toBe(0);
  });

  it.each([5, 100])('of %d gives back the younger units, not the older ones that lapse first', async (limit) => {
    const rule = sliding(limit);
    const [first, second] = [BEGIN_US, BEGIN_US + 30_000_000];
    await run(first, rule, { calls: limit - 2 });
    await run(second, rule, { calls: 2 });
    await run(second + 1_000, rule, { what: 'refund', cost: 2, at: second });
    expect((await run(first + 62_000_000, rule)).left).toBe(limit - 1);
  });

  it.each([5, 100])('of %d counts what it is charged beyond it, until that lapses', async (limit) => {
    const rule = sliding(limit);
    await run(BEGIN_US, rule, { what: 'charge', cost: 1_000_000 });
    expect((await run(BEGIN_US + 59_000_000, rule)).granted).toBe(0);
    expect((await run(BEGIN_US + 62_000_000, rule, { calls: limit })).granted).toBe(limit);
  });

  it.each([5, 100])(
    'of %d is open again a span after its clock was set back, although it was refused only',
    async (limit) => {
      const rule = sliding(limit);
      await run(BEGIN_US, rule, { calls: limit });
      const now = BEGIN_US - 3_600_000_000;
      expect((await run(now, rule)).granted).toBe(0);
      expect((await run(now + 59_000_000, rule)).granted).toBe(0);
      expect((await run(now + 62_001_000, rule)).granted).toBe(1);
    },
  );

  it('knows a call again that is sent twice', async () => {
    for (const rule of [sliding(5), sliding(100), fixed(5)]) {
      await bed.admin.del('k');
      expect(await run(BEGIN_US, rule, { calls: 3, nonce: 'a' })).toMatchObject({ granted: 3, left: rule.limit - 3 });
      expect(await run(BEGIN_US, rule, { calls: 1, nonce: 'b' })).toMatchObject({ granted: 1, left: rule.limit - 4 });
      expect(await run(BEGIN_US + 1, rule, { calls: 3, nonce: 'a' })).toMatchObject({
        granted: 3,
        left: rule.limit - 4,
      });
    }
  });

  it('leaves no key behind, and each key has a lifetime of its units', async () => {
    for (const rule of [sliding(5), sliding(100), bucket(5), pace(5), fixed(5)]) {
      const now = BEGIN_US + 500;
      await run(now, rule, { key: rule.kind });
      const ttl = await bed.admin.pttl(rule.kind);
      expect(ttl).toBeGreaterThan(0);
      expect(ttl).toBeLessThanOrEqual(rule.spanMs + rule.spanMs / 30 + 1);
      const ends = rule.kind === 'p' ? now + 12_000_000 : now;
      await run(now, rule, { key: rule.kind, what: 'refund', at: ends });
      expect(await bed.admin.exists(rule.kind)).toBe(0);
    }
  });

  it('of at most 64 goes on for as long as calls come, with instants of four bytes', async () => {
    const day = 86_400_000_000;
    const rule = sliding(3, 20 * 86_400_000);
    for (let at = 0; at < 200; at += 11) {
      // The call of 22 days ago has lapsed, that of 11 days ago has not.
      const left = at === 0 ? 2 : 1;
      expect(await run(BEGIN_US + at * day, rule)).toMatchObject({ granted: 1, left });
    }
  });

  it('of fewer units than before keeps the youngest ones', async () => {
    for (let s = 0; s < 10; s++) await run(BEGIN_US + s * 1_000_000, sliding(10));
    const few = sliding(5);
    // Written once, by a charge beyond the limit.
    await run(BEGIN_US + 10_000_000, few, { what: 'charge', cost: 1 });
    expect((await run(BEGIN_US + 66_500_000, few)).granted).toBe(1);
    expect((await run(BEGIN_US + 66_500_000, few)).left).toBe(0);
  });

  it('of more than 64 has room again although a counter was full in between', async () => {
    const rule = sliding(100);
    await run(BEGIN_US, rule, { what: 'charge', cost: 1_000_000 });
    await run(BEGIN_US + 4_000_000, rule, { what: 'charge', cost: 1 });
    expect((await run(BEGIN_US + 59_000_000, rule)).granted).toBe(0);
    expect((await run(BEGIN_US + 62_500_000, rule, { calls: 200 })).granted).toBe(99);
  });
});
