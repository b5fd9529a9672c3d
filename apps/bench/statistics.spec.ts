import { expect, it } from '@jest/globals';
import { byChance, median, quantile, relativeSpread } from './statistics.js';

it('takes the middle of an odd, and the mean of the two middle ones of an even number of values', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([])).toBeNaN();
});

it('finds quantiles between samples in proportion', () => {
  const values = [5, 1, 4, 2, 3];
  expect([0, 0.25, 0.5, 0.75, 0.99, 1].map((q) => quantile(values, q))).toEqual([1, 2, 3, 4, 4.96, 5]);
});

it('tells how far the middle half reaches', () => {
  expect(relativeSpread([10, 10, 10, 10, 99])).toBe(0);
  expect(relativeSpread([8, 9, 10, 11, 12])).toBe(0.2);
  expect(relativeSpread([0, 0, 0])).toBe(0);
});

it('knows what a coin can do', () => {
  expect([0, 3, 5].map((heads) => byChance(heads, 5))).toEqual([1, 0.5, 1 / 32]);
  expect(byChance(18, 25)).toBeCloseTo(0.0216, 4);
  expect(byChance(17, 25)).toBeCloseTo(0.0539, 4);
});
