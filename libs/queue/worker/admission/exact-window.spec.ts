import { expect, it } from '@jest/globals';
import { ManualClock } from '../../../../test/support/manual-clock.js';
import { handlerWindows, type ConcurrencyWindow } from '../concurrency-window.js';

const member = { waiting: 0, pump: () => {}, creditGained: () => {} };
const windowOf = (clock: ManualClock, fleet: number | undefined): ConcurrencyWindow => {
  const options = { group: 'shop', concurrency: 2, fleet, rateLimit: undefined };
  const window = handlerWindows(clock)({ queue: 'tasks', options });
  window.add(member);
  return window;
};

/** A task runs and ends within a millisecond. It is not settled yet. */
async function run(window: ConcurrencyWindow, clock: ManualClock): Promise<void> {
  window.delivered(1, 10);
  window.hold();
  window.begin();
  await clock.pass(1);
  window.end();
}

it('with limits of the fleet, a place is taken until its task is settled, and nothing is prefetched', async () => {
  const clock = new ManualClock();
  const window = windowOf(clock, 5);
  expect([window.room, window.prefetch]).toEqual([2, 0]);
  await run(window, clock);
  expect([window.room, window.free, window.wantsMore]).toEqual([1, true, true]);
  await run(window, clock);
  expect([window.room, window.free, window.wantsMore]).toEqual([0, false, false]);
  window.release();
  expect([window.room, window.free]).toEqual([1, true]);
  for (let i = 0; i < 50; i++) {
    await run(window, clock);
    window.release();
  }
  expect([window.room, window.prefetch]).toEqual([1, 0]);
});

it('without them, tasks are prefetched at the pace of those that end', async () => {
  const clock = new ManualClock();
  const window = windowOf(clock, undefined);
  for (let i = 0; i < 50; i++) {
    await run(window, clock);
    window.release();
  }
  expect(window.prefetch).toBeGreaterThan(10);
  expect(window.room).toBe(2 + window.prefetch);
});
