import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkIntervals, History, readHistory, type Interval } from './history.js';

describe('the history log', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'history-'));
  });
  afterEach(() => {
    rmSync(dir, { recursive: true });
  });

  it('keeps the intervals of several processes', () => {
    const [a, b] = [new History(dir, 'a'), new History(dir, 'b')];
    const first = a.open('x', { token: 1 });
    a.close(first);
    b.close(b.open('x', { token: 2, at: 10n }), 20n);
    const intervals = readHistory(dir).sort((one, two) => one.by.localeCompare(two.by));
    expect(intervals).toMatchObject([
      { name: 'x', by: 'a', token: 1 },
      { name: 'x', by: 'b', token: 2, from: 10n, to: 20n },
    ]);
    expect(intervals[0]!.to).toBeGreaterThan(intervals[0]!.from);
    a.end();
    b.end();
  });

  it('ends what a killed process left open with its last line, and drops a torn one', () => {
    const log = new History(dir, 'a');
    log.open('x', { at: 10n });
    log.close(log.open('y', { at: 15n }), 30n);
    log.end();
    appendFileSync(join(dir, 'a.jsonl'), '{"open":3,"na');
    expect(readHistory(dir)).toEqual([
      { name: 'x', from: 10n, to: 30n, by: 'a' },
      { name: 'y', from: 15n, to: 30n, by: 'a' },
    ]);
  });

  it('refuses two logs of one name and a mark closed twice', () => {
    const log = new History(dir, 'a');
    expect(() => new History(dir, 'a')).toThrow('EEXIST');
    const mark = log.open('x');
    log.close(mark);
    log.close(mark);
    log.end();
    expect(() => readHistory(dir)).toThrow('closed but not open');
  });
});

describe('checkIntervals', () => {
  const interval = (from: number, to: number, token?: number, name = 'x'): Interval => ({
    name,
    from: BigInt(from),
    to: BigInt(to),
    by: 'p',
    ...(token === undefined ? {} : { token }),
  });

  it('accepts a clean history, in any order of lines', () => {
    expect(checkIntervals([])).toEqual([]);
    expect(
      checkIntervals([interval(20, 30, 2), interval(0, 10, 1), interval(10, 20), interval(5, 25, 1, 'y')]),
    ).toEqual([]);
  });

  it('rejects a planted overlap', () => {
    const [first, second] = [interval(0, 10), interval(9, 20)];
    expect(checkIntervals([second, interval(20, 30), first])).toEqual([{ kind: 'overlap', name: 'x', first, second }]);
  });

  it('rejects every interval inside a long one, not only its neighbour', () => {
    const long = interval(0, 100);
    const inside = [interval(10, 20), interval(30, 40)];
    expect(checkIntervals([...inside, long])).toEqual(
      inside.map((second) => ({ kind: 'overlap', name: 'x', first: long, second })),
    );
  });

  it('rejects two that start at one moment', () => {
    expect(checkIntervals([interval(0, 10), interval(0, 10)])).toHaveLength(1);
  });

  it('rejects a planted token regression and a token given twice', () => {
    const history = [interval(0, 1, 5), interval(2, 3, 4), interval(4, 5, 5), interval(6, 7, 6)];
    expect(checkIntervals(history)).toMatchObject([
      { kind: 'token', first: { token: 5 }, second: { token: 4 } },
      { kind: 'token', first: { token: 5, from: 0n }, second: { token: 5, from: 4n } },
    ]);
  });

  it('checks 200,000 intervals in a moment', () => {
    const many = Array.from({ length: 200_000 }, (_, i) => interval(i * 10, i * 10 + 10, i));
    const started = performance.now();
    expect(checkIntervals(many)).toHaveLength(0);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});
