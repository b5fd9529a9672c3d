import { expect, it } from '@jest/globals';
import { BEGIN_US, LimitBed, bucket, fixed, pace, sliding, worst, type Rule } from '../../../test/support/limit-bed.js';

const bed = new LimitBed();

/** One call, a minute without calls, then as many as fit, ten times a second, for 70 s: the worst case of each algorithm. */
async function admittedBy(ruleAt: (at: number) => Rule): Promise<{ at: number; units: number }[]> {
  const admitted: { at: number; units: number }[] = [];
  const flood = Array.from({ length: 700 }, (_, i) => BEGIN_US + 59_900_000 + i * 100_000);
  for (const at of [BEGIN_US, ...flood]) {
    const { granted } = await bed.run(at, ruleAt(at), { calls: at === BEGIN_US ? 1 : 200, waitUs: 0 });
    if (granted > 0) admitted.push({ at, units: granted });
  }
  return admitted;
}

/** Minutes of a calendar, as the caller computes them. */
const calendar = (at: number): Rule => {
  const x = BEGIN_US + Math.floor((at - BEGIN_US) / 60_000_000) * 60_000_000;
  return { kind: 'c', limit: 60, spanMs: 60_000, x, y: x + 60_000_000 };
};

/** The table of docs/guide/rate-limits.md. */
it.each<[string, Rule | ((at: number) => Rule), number]>([
  ['sliding, instants', sliding(60), 60],
  ['sliding, slots', sliding(600), 600],
  ['a token bucket of 60', bucket(60), 119],
  ['a token bucket of 6', bucket(60, 60_000, 6), 65],
  ['fixed windows', fixed(60), 119],
  ['calendar windows', calendar, 119],
  ['a leaky bucket', pace(60), 60],
])('%s admits at worst so many in a window', async (_, rule, most) => {
  const admitted = await admittedBy(typeof rule === 'function' ? rule : () => rule);
  expect(worst(admitted, 60_000)).toBe(most);
});
