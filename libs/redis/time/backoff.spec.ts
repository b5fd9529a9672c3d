import { expect, it } from '@jest/globals';
import { backoffMs } from './backoff.js';

it('doubles up to the ceiling and draws from the whole range', () => {
  const longest = (attempt: number): number => backoffMs(attempt, 100, 1_000, () => 0.999_999);
  expect([0, 1, 2, 3, 4, 1_000].map((attempt) => Math.round(longest(attempt)))).toEqual([
    100, 200, 400, 800, 1_000, 1_000,
  ]);
  expect(backoffMs(3, 100, 1_000, () => 0)).toBe(50);
});
