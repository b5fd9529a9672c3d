import { badOption, count, optional, resolveOptions } from '../../weave/index.js';
import { LEVELS, type Priority } from '../store/levels.js';

/**
 * How many tasks of each level start while all levels have tasks: 8 of `high`, 4 of `normal` and 1 of `low`, unless this says otherwise.
 * Each is a whole number ≥ 1. A level that has no tasks leaves its share to the others.
 */
export type Shares = Partial<Record<Priority, number>>;

/** The shares of all levels. */
export type ResolvedShares = Readonly<Record<Priority, number>>;

const DEFAULT: ResolvedShares = Object.freeze({ high: 8, normal: 4, low: 1 });
/** Larger shares say nothing that smaller ones cannot. */
const MOST = 1_000;

/** Checks the `shares` of a configuration: the members that it changes. */
export function sharesChange(value: unknown, path: string): Shares {
  if (value === true) return {};
  if (typeof value !== 'object' || value === null) throw badOption(path, 'true, or an object with shares', value);
  const given = resolveOptions<Shares>(path, value, {
    high: optional(count(1)),
    normal: optional(count(1)),
    low: optional(count(1)),
  });
  for (const level of LEVELS) {
    const share = given[level];
    if (share !== undefined && share > MOST) throw badOption(`${path}.${level}`, `at most ${MOST}`, share);
  }
  return given;
}

/** Checks the `shares` of a definition. */
export function shares(value: unknown, path: string): ResolvedShares {
  return changedShares(undefined, sharesChange(value, path));
}

/** The shares that follow from a definition and a change of the configuration, member by member. */
export function changedShares(declared: ResolvedShares | undefined, change: Shares): ResolvedShares {
  const { high, normal, low } = declared ?? DEFAULT;
  return Object.freeze({ high: change.high ?? high, normal: change.normal ?? normal, low: change.low ?? low });
}
