import { describe, expect, it } from '@jest/globals';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { mostHeld } from '../../../test/support/most-held.js';
import { Pace } from './adaptive-prefetch.js';

/** Works for so long, with so many tasks ending evenly in that time, asked each millisecond; answers the last prefetch. */
function work(pace: Pace, clock: ManualClock, ms: number, tasks: number): number {
  pace.busy();
  let most = 0;
  for (let i = 0; i < ms; i++) {
    clock.jump(1);
    const due = Math.floor(((i + 1) * tasks) / ms) - Math.floor((i * tasks) / ms);
    for (let n = 0; n < due; n++) pace.ended();
    most = Math.max(most, pace.prefetch);
  }
  expect(most).toBeLessThanOrEqual(500);
  return pace.prefetch;
}

function fresh(): { pace: Pace; clock: ManualClock } {
  const clock = new ManualClock();
  return { pace: new Pace(clock), clock };
}

describe('the prefetch', () => {
  it('is none before anything is known', () => {
    expect(fresh().pace.prefetch).toBe(0);
  });

  it.each([
    ['ten at a time of 0.1 ms each', 100_000, 500],
    ['ten at a time of 2 ms', 5_000, 250],
    ['ten at a time of 20 ms', 500, 25],
    ['ten at a time of 100 ms', 100, 5],
    ['ten at a time of a second', 10, 0],
  ])('is what ends within 50 ms, at most 500: %s', (_what, perSecond, expected) => {
    const { pace, clock } = fresh();
    work(pace, clock, 3_000, perSecond * 3);
    expect(Math.abs(pace.prefetch - expected)).toBeLessThanOrEqual(expected / 4);
  });

  it('is believed at once after the first tasks', () => {
    const { pace, clock } = fresh();
    expect(work(pace, clock, 1, 10)).toBe(500);
  });

  it('shrinks as long as nothing ends', () => {
    const { pace, clock } = fresh();
    expect(work(pace, clock, 1_000, 20_000)).toBe(500);
    expect(work(pace, clock, 20, 0)).toBeLessThan(5);
    expect(work(pace, clock, 50, 0)).toBe(0);
  });

  it('is back after some milliseconds of work', () => {
    const { pace, clock } = fresh();
    work(pace, clock, 10_000, 1);
    expect(pace.prefetch).toBe(0);
    expect(work(pace, clock, 15, 300)).toBeGreaterThan(400);
  });

  it('does not count the time without work', () => {
    const { pace, clock } = fresh();
    for (let i = 0; i < 100; i++) {
      work(pace, clock, 1, 1);
      pace.idle();
      clock.jump(1_000);
    }
    expect(pace.prefetch).toBe(50);
  });

  it.each([
    [10, 10],
    [10, 30],
    [50, 12],
  ])('never asks for more than %d places can end, with tasks of %d ms and more', (places, taskMs) => {
    const { pace, clock } = fresh();
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
      if (drawn % 97 === 0) pace.idle();
      pace.busy();
      clock.jump(1);
      for (const [place, left] of rest.entries()) {
        rest[place] = left - 1;
        if (left > 1) continue;
        pace.ended();
        rest[place] = takes();
      }
      asked = Math.max(asked, pace.prefetch);
    }
    expect(asked).toBeLessThanOrEqual(most);
  });
});
