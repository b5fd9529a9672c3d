import { expect, it } from '@jest/globals';
import type { Result } from './bench.js';
import { report } from './report.js';

const row: Result = {
  name: 'x.y',
  unit: 'ms',
  better: 'lower',
  target: '≤ 2 × raw',
  sluice: 2,
  raw: 1,
  peers: { other: 6_000 },
  verdict: 'met',
  samples: { sluice: [1, 2, 3], raw: [1, 1, 1] },
  load: {},
};

it('shows figures with their ranges, verdicts, settings and plots', () => {
  const curves = [{ name: 'a-curve', title: 'A curve', x: 'x', y: 'y', measure: async () => ({}) }];
  const rows = [row, { ...row, name: 'x.z', raw: null, verdict: 'none' as const, samples: { sluice: [2, 2] } }];
  const page = report({ rows, on: ['this machine', 'other 1.2: fast'], timesMet: ['3 of 4 runs met x.y'], curves });
  expect(page).toContain('| `x.y`, ms | 2 (1 – 3) | 1 | 2.00 | other 6,000 | ≤ 2 × raw | met |\n');
  expect(page).toContain('| `x.z`, ms | 2 |  |  | other 6,000 | ≤ 2 × raw |  |\n');
  expect(page).toContain('\nthis machine.');
  expect(page).toContain('- other 1.2: fast\n');
  expect(page).toContain('- 3 of 4 runs met x.y\n');
  expect(page).toContain('![A curve](benchmarks/a-curve.svg)\n');
});
