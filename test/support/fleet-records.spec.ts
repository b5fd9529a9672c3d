import { expect, it } from '@jest/globals';
import { BOUND_MS, FleetHistory, type FleetRecords } from './fleet-records.js';

const NOTHING: FleetRecords = {
  ...{ published: [], runs: [], holds: [], invalidations: [], reads: [], errors: new Map() },
};
const of = (...records: Partial<FleetRecords>[]): FleetHistory =>
  new FleetHistory(records.map((each) => ({ ...NOTHING, ...each })));

it('finds tasks that were acknowledged and never ran, whatever process ran them, and tells losses of a failover apart', () => {
  const published = ['a', 'b', 'c'].map((n, i) => ({ n, atMs: i * 10 }));
  const history = of({ published }, { runs: ['a', 'a'] });
  expect(history.lost([[5, 15]])).toEqual({ inside: [published[1]], outside: [published[2]] });
  expect(history.lost().outside).toHaveLength(2);
  expect(history.twice).toBe(1);
  expect(history.and({ runs: ['b', 'c'] }).lost().outside).toEqual([]);
});

it('finds reads that are stale for longer than the bound: of another process, of a value loaded before the invalidation', () => {
  const invalidation = { by: 'p0', key: 'k', sentMs: 100, ackedMs: 110 };
  const read = { by: 'p1', key: 'k', loadedMs: 99, askedMs: 110 + BOUND_MS + 5 };
  const stale = (over: Partial<typeof read>): number[] =>
    of({ invalidations: [invalidation] }, { reads: [{ ...read, ...over }] }).stale().outside;
  expect(stale({})).toEqual([5]);
  expect(stale({ askedMs: 110 + BOUND_MS })).toEqual([]);
  expect(stale({ loadedMs: 101 })).toEqual([]);
  expect(stale({ by: 'p0' })).toEqual([]);
  expect(stale({ key: 'other' })).toEqual([]);
  const history = of({ invalidations: [invalidation], reads: [read] });
  expect(history.stale([[105, 120]])).toEqual({ inside: [5], outside: [] });
  // Of several invalidations each one counts that the read should have known.
  const before = { ...invalidation, sentMs: 50, ackedMs: 60 };
  const later = { ...invalidation, sentMs: 104, ackedMs: 114 };
  expect(history.and({ invalidations: [later, before] }).stale().outside).toEqual([5, 1]);
});

it('finds two holders, and tells the errors of all processes', () => {
  const hold = { name: 'a', from: 1n, to: 9n, by: 'p0', token: 1 };
  const history = of({ holds: [hold], errors: new Map([['A', 'a']]) }, { errors: new Map([['B', 'b']]) });
  expect(history.violations).toEqual([]);
  expect(history.and({ holds: [{ ...hold, from: 5n, by: 'p1', token: 2 }] }).violations).toHaveLength(1);
  expect([...history.errors.keys()]).toEqual(['A', 'B']);
});
