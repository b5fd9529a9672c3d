import { expect, it } from '@jest/globals';
import { unexplained } from './data-loss.js';
import type { Violation } from './history.js';

const overlap = (first: number, second: number): Violation => {
  const [a, b] = [first, second].map((token) => ({ name: 'x', from: 0n, to: 1n, by: 'a', token }));
  return { kind: 'overlap', name: 'x', first: a!, second: b! };
};

it('explains what was granted on both sides of a loss, and nothing else', () => {
  const losses = [{ fromUs: 100, toUs: 110 }];
  expect(unexplained([overlap(90, 120), overlap(120, 90), overlap(105, 106)], losses)).toEqual([]);
  const real = [overlap(80, 90), overlap(120, 130), overlap(105, 105)];
  expect(unexplained(real, losses)).toEqual(real);
  const elsewhere = [{ fromUs: 100, toUs: 110, name: 'y' }];
  expect(unexplained([overlap(90, 120)], elsewhere)).toHaveLength(1);
});
