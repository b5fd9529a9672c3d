import { describe, expect, it } from '@jest/globals';
import { ShareTurns } from './share-turns.js';

const SHARES = { high: 8, normal: 4, low: 1 };
type Level = keyof typeof SHARES;
const ALL: Level[] = ['low', 'normal', 'high'];

const turnsOf = (): ShareTurns<Level> => new ShareTurns((level) => SHARES[level]);

/** Who gets the next places, one after the other. */
function play(turns: ShareTurns<Level>, competing: readonly Level[], places: number): Level[] {
  return Array.from({ length: places }, () => {
    const level = turns.next(competing)!;
    turns.took(level);
    return level;
  });
}

function tally(levels: readonly Level[]): Partial<Record<Level, number>> {
  const counts: Partial<Record<Level, number>> = {};
  for (const level of levels) counts[level] = (counts[level] ?? 0) + 1;
  return counts;
}

describe('turns by share', () => {
  it('are exact in every round of all shares, and begin with the largest', () => {
    const turns = turnsOf();
    expect(turns.next(ALL)).toBe('high');
    for (let round = 0; round < 50; round++) expect(tally(play(turns, ALL, 13))).toEqual(SHARES);
  });

  it('divide many places as they give single ones', () => {
    const [single, many] = [turnsOf(), turnsOf()];
    for (const places of [1, 5, 7, 13, 26, 2, 100]) {
      const parts = many.divide(ALL, places);
      for (const [level, part] of parts) many.took(level, part);
      expect(Object.fromEntries(parts)).toEqual({ high: 0, normal: 0, low: 0, ...tally(play(single, ALL, places)) });
    }
  });

  it('make nobody wait for more places than all shares and one for each', () => {
    const turns = turnsOf();
    const order = play(turns, ALL, 1_000);
    let since = 0;
    for (const level of order) {
      since = level === 'low' ? 0 : since + 1;
      expect(since).toBeLessThanOrEqual(13 + 3);
    }
  });

  it('leave the share of who has nothing to the others', () => {
    const turns = turnsOf();
    expect(tally(play(turns, ['high', 'low'], 90))).toEqual({ high: 80, low: 10 });
    expect(tally(play(turns, ['normal', 'low'], 50))).toEqual({ normal: 40, low: 10 });
  });

  it('give no claim for the time in which a level had nothing', () => {
    const turns = turnsOf();
    play(turns, ['high'], 10_000);
    // Low begins now: it does not make up for the ten thousand.
    expect(tally(play(turns, ['high', 'low'], 90)).low).toBeLessThanOrEqual(11);
    play(turns, ['low'], 10_000);
    expect(tally(play(turns, ['high', 'low'], 90)).low).toBeGreaterThanOrEqual(9);
  });

  it('remember what was taken beyond a part', () => {
    const turns = turnsOf();
    turns.divide(ALL, 13);
    turns.took('low', 10);
    expect(tally(play(turns, ALL, 120)).low).toBeUndefined();
  });

  it('are of nobody if nobody competes', () => {
    expect(turnsOf().next([])).toBeUndefined();
    expect(turnsOf().divide([], 5).size).toBe(0);
  });
});
