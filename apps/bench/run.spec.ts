import { expect, it } from '@jest/globals';
import type { Result } from './bench.js';
import { timesMet } from './run.js';

it('tells how many runs met each target, and how many met all', () => {
  const result = (name: string, verdict: Result['verdict']): Result => ({
    ...{ name, unit: 'ms', better: 'lower', target: '≤ 1', verdict },
    ...{ sluice: 1, raw: null, peers: {}, samples: {}, load: {} },
  });
  const run = (a: Result['verdict'], b: Result['verdict']): Result[] => [
    result('a', a),
    result('b', b),
    result('c', 'none'),
  ];
  expect(timesMet([run('met', 'met'), run('met', 'unclear'), run('missed', 'met')])).toEqual([
    '2 of 3 runs met a: ≤ 1',
    '2 of 3 runs met b: ≤ 1',
    '1 of 3 runs met every target',
  ]);
});
