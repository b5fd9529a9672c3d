import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { mostHeld } from '../../../test/support/most-held.js';
import { AdaptivePrefetch } from './adaptive-prefetch.js';

/** Works for so long, with so many tasks ending evenly in that time, asked each millisecond; answers the last prefetch. */
function work(adaptive: AdaptivePrefetch, clock: ManualClock, ms: number, tasks: number): number {
  adaptive.busy();
  let most = 0;
  for (let i = 0; i < ms; i++) {
    clock.jump(1);
    const due = Math.floor(((i + 1) * tasks) / ms) - Math.floor((i * tasks) / ms);
    for (let n = 0; n < due; n++) adaptive.ended();
    most = Math.max(most, adaptive.prefetch);
  }
  expect(most).toBeLessThanOrEqual(500);
  return adaptive.prefetch;
}

function fresh(): { adaptive: AdaptivePrefetch; clock: ManualClock } {
  const clock = new ManualClock();
  return { adaptive: new AdaptivePrefetch(clock), clock };
}

describe('the prefetch', () => {
  it('is none before anything is known', () => {
    expect(fresh().adaptive.prefetch).toBe(0);
  });

  it.each([
    ['ten at a time of 0.1 ms each', 100_000, 500],
    ['ten at a time of 2 ms', 5_000, 250],
    ['ten at a time of 20 ms', 500, 25],
    ['ten at a time of 100 ms', 100, 5],
    ['ten at a time of a second', 10, 0],
  ])('is what ends within 50 ms, at most 500: %s', (_what, perSecond, expected) => {
    const { adaptive, clock } = fresh();
    work(adaptive, clock, 3_000, perSecond * 3);
    expect(Math.abs(adaptive.prefetch - expected)).toBeLessThanOrEqual(expected / 4);
  });

  it('is believed at once after the first tasks', () => {
    const { adaptive, clock } = fresh();
    expect(work(adaptive, clock, 1, 10)).toBe(500);
  });

  it('shrinks as long as nothing ends', () => {
    const { adaptive, clock } = fresh();
    expect(work(adaptive, clock, 1_000, 20_000)).toBe(500);
    expect(work(adaptive, clock, 20, 0)).toBeLessThan(5);
    expect(work(adaptive, clock, 50, 0)).toBe(0);
  });

  it('is back after some milliseconds of work', () => {
    const { adaptive, clock } = fresh();
    work(adaptive, clock, 10_000, 1);
    expect(adaptive.prefetch).toBe(0);
    expect(work(adaptive, clock, 15, 300)).toBeGreaterThan(400);
  });

  it('does not count the time without work', () => {
    const { adaptive, clock } = fresh();
    for (let i = 0; i < 100; i++) {
      work(adaptive, clock, 1, 1);
      adaptive.idle();
      clock.jump(1_000);
    }
    expect(adaptive.prefetch).toBe(50);
  });

  it.each([
    [10, 10],
    [10, 30],
    [50, 12],
  ])('never asks for more than %d places can end, with tasks of %d ms and more', (places, taskMs) => {
    const { adaptive, clock } = fresh();
    const most = mostHeld(places, taskMs) - places;
    let drawn = 1;
    const takes = (): number => {
      drawn = (drawn * 48_271) % 2_147_483_647;
      // Mostly in step with each other, which makes the worst bursts.
      return taskMs + (drawn % 5 === 0 ? drawn % 20 : 0);
    };
    const rest = Array.from({ length: places }, takes);
    let asked = 0;
    for (let ms = 0; ms < 20_000; ms++) {
      if (drawn % 97 === 0) adaptive.idle();
      adaptive.busy();
      clock.jump(1);
      for (const [place, left] of rest.entries()) {
        rest[place] = left - 1;
        if (left > 1) continue;
        adaptive.ended();
        rest[place] = takes();
      }
      asked = Math.max(asked, adaptive.prefetch);
    }
    expect(asked).toBeLessThanOrEqual(most);
  });
});
