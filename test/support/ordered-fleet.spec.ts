import { expect, it } from '@jest/globals';
import type { Interval } from './history.js';
import { brokenOrders, stoodStill } from './ordered-fleet.js';

const run = (by: string, fromMs: number, toMs: number, name = 'key', token = 0): Interval => ({
  ...{ by, name, token, from: BigInt(fromMs) * 1_000_000n, to: BigInt(toMs) * 1_000_000n },
});

it('a run may overlap with later ones only if its process stood still in it for longer than its lease', () => {
  const later = run('b', 700, 710);
  const others = [run('a', 10, 20, 'other'), run('a', 900, 910, 'third')];
  const slept = [run('a', 0, 905), ...others, later];
  expect(brokenOrders(slept, new Set(), stoodStill(slept, 500))).toEqual([]);
  const worked = [...slept, run('a', 400, 500, 'fourth')];
  expect(brokenOrders(worked, new Set(), stoodStill(worked, 500))).toEqual(['key: 0 began while 0 ran']);
});
