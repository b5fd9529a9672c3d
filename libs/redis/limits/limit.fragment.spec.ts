import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  BEGIN_US,
  LimitBed,
  bucket,
  fixed,
  moves,
  pace,
  sliding,
  worst,
  type Rule,
} from '../../../test/support/limit-bed.js';

const bed = new LimitBed();
const { run } = bed;

describe('a bucket', () => {
  it('admits its burst, then a unit per interval', async () => {
    const rule = bucket(60, 60_000, 10);
    await fc.assert(
      fc.asyncProperty(moves(10_000, 4), async (steps) => {
        await bed.admin.del('k');
        let [now, tokens, seen] = [BEGIN_US, 10_000_000, BEGIN_US];
        for (const { waitUs, cost, calls } of steps) {
          now += waitUs;
          tokens = Math.min(10_000_000, tokens + (now - seen));
          seen = now;
          const fits = Math.min(calls, Math.floor(tokens / (cost * 1_000_000)));
          const { granted, after } = await run(now, rule, { cost, calls });
          expect(granted).toBe(fits);
          tokens -= granted * cost * 1_000_000;
          expect(after).toBe(granted < calls ? Math.max(0, cost * 1_000_000 - tokens) : 0);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('admits no more than burst and inflow after its clock was set back', async () => {
    const rule = bucket(60, 60_000, 10);
    await fc.assert(
      fc.asyncProperty(moves(10_000, 4), async (steps) => {
        await bed.admin.del('k');
        let [now, tokens] = [BEGIN_US, 10_000_000];
        for (const { waitUs, cost, calls, back } of steps) {
          now += waitUs - back;
          tokens = Math.min(10_000_000, tokens + waitUs);
          const { granted } = await run(now, rule, { cost, calls });
          tokens -= granted * cost * 1_000_000;
          expect(tokens).toBeGreaterThanOrEqual(0);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('never has more tokens than its burst, although units of before it was full are given back', async () => {
    const rule = bucket(60, 60_000, 10);
    await run(BEGIN_US, rule, { calls: 10 });
    await run(BEGIN_US + 20_000_000, rule, { calls: 10 });
    expect((await run(BEGIN_US + 20_000_001, rule, { what: 'refund', cost: 10, at: BEGIN_US })).left).toBe(0);
    expect((await run(BEGIN_US + 20_000_002, rule, { what: 'refund', cost: 3, at: BEGIN_US + 20_000_000 })).left).toBe(
      3,
    );
  });

  it('never has more tokens after a refund than if its units had not been charged', async () => {
    const rule = bucket(60, 60_000, 10);
    const each = 1_000_000;
    await fc.assert(
      fc.asyncProperty(moves(10_000, 4), fc.infiniteStream(fc.nat(5)), async (steps, picks) => {
        await bed.admin.del('k');
        let now = BEGIN_US;
        const charged: { at: number; units: number }[] = [];
        for (const { waitUs, cost, calls } of steps) {
          now += waitUs;
          const { granted } = await run(now, rule, { cost, calls });
          if (granted > 0) charged.push({ at: now, units: granted * cost });
          const { value: pick } = picks.next() as { value: number };
          if (pick >= charged.length) continue;
          const [{ at, units } = { at: 0, units: 0 }] = charged.splice(charged.length - 1 - pick, 1);
          now += 1_000 * pick;
          const { left } = await run(now, rule, { what: 'refund', cost: units, at });
          let [lag, last] = [0, BEGIN_US];
          for (const kept of charged) {
            lag = Math.max(0, lag - (kept.at - last)) + kept.units * each;
            last = kept.at;
          }
          expect(left).toBeLessThanOrEqual(Math.floor(10 - Math.max(0, lag - (now - last)) / each));
        }
      }),
      { numRuns: 60 },
    );
  });

  it('gives back no more for two calls than if neither had been charged', async () => {
    const rule = bucket(60, 60_000, 10);
    // The bucket remembers such instants exactly.
    const begin = Math.ceil(BEGIN_US / 65_536) * 65_536;
    await run(begin, rule, { cost: 3 });
    await run(begin, rule, { cost: 3, nonce: 'second' });
    const now = begin + 1_000_000;
    await run(now, rule, { cost: 5, nonce: 'third' });
    expect((await run(now, rule, { what: 'refund', cost: 3, at: begin })).left).toBe(3);
    // Without the first two calls, the third one would have found the bucket full.
    expect((await run(now, rule, { what: 'refund', cost: 3, at: begin })).left).toBe(5);
  });

  it('that is nearly empty gives back all units that were not used, however long ago they were charged', async () => {
    const rule = bucket(60, 60_000, 60);
    await run(BEGIN_US, rule, { cost: 50 });
    await run(BEGIN_US + 1_000_000, rule, { cost: 10, nonce: 'later' });
    // Others take what flows in.
    for (let s = 2; s < 40; s++) await run(BEGIN_US + s * 1_000_000, rule);
    const now = BEGIN_US + 40_000_000;
    const { left } = await run(now, rule, { what: 'peek' });
    expect((await run(now, rule, { what: 'refund', cost: 10, at: BEGIN_US + 1_000_000 })).left).toBe(left + 10);
  });

  it('remembers what it was charged beyond its burst', async () => {
    const rule = bucket(60, 60_000, 10);
    await run(BEGIN_US, rule, { what: 'charge', cost: 1_000 });
    expect(await run(BEGIN_US + 1, rule)).toMatchObject({ granted: 0, after: 990_999_999 });
  });

  it('is open again after its lag, although its clock was set back and it was refused only', async () => {
    const rule = bucket(60, 60_000, 10);
    await run(BEGIN_US, rule, { calls: 10 });
    const now = BEGIN_US - 3_600_000_000;
    const { granted, after } = await run(now, rule);
    expect(granted).toBe(0);
    // What is remembered is rounded up by less than a thousandth of the lag.
    expect(after).toBeGreaterThanOrEqual(1_000_000);
    expect(after).toBeLessThanOrEqual(1_010_000);
    expect((await run(now + after - 1, rule)).granted).toBe(0);
    expect((await run(now + after, rule)).granted).toBe(1);
  });

  it('knows its last call again when it is sent twice, with all or a part of its units', async () => {
    const rule = bucket(100_000);
    for (const [calls, granted] of [
      [70_000, 70_000],
      [50_000, 30_000],
    ] as const) {
      const nonce = `call ${calls}`;
      const { left } = await run(BEGIN_US, rule, { calls, nonce });
      expect(await run(BEGIN_US, rule, { calls, nonce })).toMatchObject({ granted, left });
    }
  });

  it('gives back no unit of before its clock was set back, in place of which others have flowed in', async () => {
    const rule = bucket(60, 60_000, 60);
    await run(BEGIN_US, rule, { cost: 60 });
    const back = BEGIN_US - 10_000_000;
    await run(back, rule, { cost: 0, what: 'charge' });
    // 15 s have flowed in, and others have taken them. By the server's clock, the charge is 5 s old.
    for (let s = 1; s <= 15; s++) await run(back + s * 1_000_000, rule);
    const now = BEGIN_US + 5_000_000;
    const { left } = await run(now, rule, { what: 'peek' });
    expect((await run(now, rule, { what: 'refund', cost: 60, at: BEGIN_US })).left).toBe(left);
  });

  it('gives units back again that were charged after its clock was set back, once it is where it was', async () => {
    const rule = bucket(60, 60_000, 10);
    await run(BEGIN_US, rule, { cost: 10 });
    await run(BEGIN_US - 5_000_000, rule, { cost: 0, what: 'charge' });
    const later = BEGIN_US + 30_000_000;
    await run(later, rule, { cost: 5 });
    expect((await run(later + 1_000, rule, { what: 'refund', cost: 5, at: later })).left).toBe(10);
  });

  it('keeps a key in 28 bytes', async () => {
    await run(BEGIN_US, bucket(100), { calls: 100 });
    expect(await bed.admin.strlen('k')).toBe(28);
  });
});

describe('a leaky bucket', () => {
  it('gives each call the next turn, and refuses a call whose turn comes too late', async () => {
    const rule = pace(10, 1_000);
    expect(await run(BEGIN_US, rule, { calls: 3, waitUs: 1_000_000 })).toMatchObject({ granted: 3, due: 0 });
    expect(await run(BEGIN_US + 1, rule, { calls: 9, waitUs: 1_000_000 })).toMatchObject({ granted: 8, due: 299_999 });
    const { granted, after } = await run(BEGIN_US + 2, rule, { waitUs: 100_000 });
    expect({ granted, after }).toEqual({ granted: 0, after: 999_998 });
    expect(await run(BEGIN_US + 2 + after, rule, { waitUs: 100_000 })).toMatchObject({ granted: 1, due: 100_000 });
  });

  it('takes back the last turn only', async () => {
    const rule = pace(10, 1_000);
    await run(BEGIN_US, rule, { calls: 2, waitUs: 1_000_000 });
    await run(BEGIN_US, rule, { what: 'refund', at: BEGIN_US + 100_000 });
    expect(await run(BEGIN_US, rule, { waitUs: 1_000_000 })).toMatchObject({ due: 200_000 });
    await run(BEGIN_US, rule, { what: 'refund', at: BEGIN_US + 300_000 });
    expect(await run(BEGIN_US, rule, { waitUs: 1_000_000 })).toMatchObject({ due: 200_000 });
  });

  it.each([
    [1, 10],
    // The last call of a window begins in it, with all its units.
    [3, 12],
  ])('starts calls of up to %d units in the order of arrival, at most %d units in any window', async (cost, most) => {
    const rule = pace(10, 1_000);
    await fc.assert(
      fc.asyncProperty(moves(1_000, cost), async (steps) => {
        await bed.admin.del('k');
        const started: { at: number; units: number }[] = [];
        let [now, passed] = [BEGIN_US, 0];
        for (const { waitUs, cost, back } of steps) {
          passed += waitUs;
          now += waitUs - back;
          const { granted, due } = await run(now, rule, { cost, waitUs: 5_000_000 });
          if (granted === 0) continue;
          expect(passed + due).toBeGreaterThanOrEqual(started.at(-1)?.at ?? 0);
          started.push({ at: passed + due, units: cost });
        }
        expect(worst(started, 1_000)).toBeLessThanOrEqual(most);
      }),
      { numRuns: 40 },
    );
  });
});

describe('a fixed window', () => {
  it('admits its limit per window, which begins with the first call', async () => {
    const rule = fixed(10);
    await fc.assert(
      fc.asyncProperty(moves(rule.spanMs, 4), async (steps) => {
        await bed.admin.del('k');
        let [now, ends, used] = [BEGIN_US, 0, 0];
        for (const { waitUs, cost, calls } of steps) {
          now += waitUs;
          if (now >= ends) used = 0;
          const fits = Math.min(calls, Math.floor((10 - used) / cost));
          if (used === 0 && fits > 0) ends = now + 60_000_000;
          const { granted, after } = await run(now, rule, { cost, calls });
          expect(granted).toBe(fits);
          used += granted * cost;
          expect(after).toBe(granted < calls ? ends - now : 0);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('of a calendar keeps the units of a later one, when the clock was set back', async () => {
    const day = 86_400_000_000;
    const of = (number: number): Rule => {
      return {
        kind: 'c',
        limit: 10,
        spanMs: day / 1_000,
        x: BEGIN_US + number * day,
        y: BEGIN_US + (number + 1) * day,
      };
    };
    await run(BEGIN_US + day - 1, of(0), { calls: 10 });
    expect((await run(BEGIN_US + day, of(1), { calls: 10 })).granted).toBe(10);
    const { granted, after } = await run(BEGIN_US + day - 5, of(0));
    expect({ granted, after }).toEqual({ granted: 0, after: day + 5 });
    expect((await run(BEGIN_US + day + 5, of(1))).granted).toBe(0);
    expect((await run(BEGIN_US + 2 * day, of(2))).granted).toBe(1);
  });

  it('is open again a span after its clock was set back', async () => {
    const rule = fixed(10);
    await run(BEGIN_US, rule, { calls: 10 });
    const now = BEGIN_US - 3_600_000_000;
    expect((await run(now, rule)).granted).toBe(0);
    expect((await run(now + 60_000_000, rule)).granted).toBe(1);
  });
});

describe('a block', () => {
  it('lets nothing fit for its time, whatever else the state says', async () => {
    for (const rule of [sliding(5), sliding(100), bucket(5), fixed(5)]) {
      await bed.admin.del('k');
      await run(BEGIN_US, rule);
      await run(BEGIN_US, rule, { what: 'block', at: 10_000_000 });
      expect(await run(BEGIN_US + 1, rule)).toMatchObject({ granted: 0, left: 0, after: 9_999_999 });
      expect(await run(BEGIN_US + 10_000_000, rule)).toMatchObject({ granted: 1 });
    }
  });
});

describe('a value of another kind in the key of a limit', () => {
  // The head of a ring of 2,056 units, of a block, and of slots of the right width, without what should follow.
  const slotsHead = Buffer.alloc(45, 0);
  slotsHead.write('s');
  slotsHead.writeDoubleLE(2_000_000, 9);
  const values = ['', 'r', `r${'\b'.repeat(20)}`, 'S', 'text', `s${'x'.repeat(60)}`, 'f1', 't', slotsHead];

  it.each([sliding(5), sliding(100), sliding(100_000), bucket(5), pace(5), fixed(5)])(
    'is taken for no state by %p',
    async (rule) => {
      for (const value of values) {
        await bed.admin.set('k', value);
        expect(await run(BEGIN_US, rule)).toMatchObject({ granted: 1 });
      }
    },
  );
});
