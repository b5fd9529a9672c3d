import { expect, it } from '@jest/globals';
import { FailoverBed } from './failover-bed.js';

const bed = new FailoverBed();

it.each([
  ['alone', []],
  ['with the second Sentinel', [1]],
  ['with the third Sentinel', [2]],
])('a primary that hangs, %s: all features work at the new one', async (_what, sentinels) => {
  const { history, window } = await bed.surviveHanging(sentinels);
  expect(history.violations).toEqual([]);
  expect(history.stale().outside).toEqual([]);
  expect(history.lost([window]).outside).toEqual([]);
});
