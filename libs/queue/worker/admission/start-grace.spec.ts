import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../../../test/support/manual-clock.js';
import { StartGrace } from './start-grace.js';

describe('the time that a start has after its call', () => {
  it.each([
    [100, 10],
    [1_000, 20],
    [1_001, 21],
    [3_600_000, 100],
  ])('is usual for a window of %d ms: %d ms', (perMs, expected) => {
    const grace = new StartGrace(perMs, new ManualClock());
    expect([grace.ms, grace.usualMs]).toEqual([expected, expected]);
  });

  it('is the first half of the grace', () => {
    expect(new StartGrace(1_000, new ManualClock()).startBy(500, 20)).toBe(510);
  });

  it('doubles when tasks come too late, once for all tasks of a reply, up to half a minute', async () => {
    const clock = new ManualClock();
    const grace = new StartGrace(1_000, clock);
    for (let i = 0; i < 5; i++) grace.missed();
    expect(grace.ms).toBe(40);
    await clock.pass(40);
    grace.missed();
    expect(grace.ms).toBe(80);
    for (let i = 0; i < 20; i++) {
      await clock.pass(30_000);
      grace.missed();
    }
    expect(grace.ms).toBe(30_000);
    expect(grace.usualMs).toBe(20);
  });

  it('is halved after a minute without a late one, down to the usual', async () => {
    const clock = new ManualClock();
    const grace = new StartGrace(1_000, clock);
    grace.missed();
    await clock.pass(40);
    grace.missed();
    await clock.pass(59_999);
    expect(grace.ms).toBe(80);
    await clock.pass(1);
    expect(grace.ms).toBe(40);
    await clock.pass(60_000);
    expect(grace.ms).toBe(20);
    await clock.pass(60_000);
    expect(grace.ms).toBe(20);
  });
});
