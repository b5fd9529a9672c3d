import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readVersionHistory, staleReads, VersionLog, type Invalidation, type VersionRead } from './version-history.js';

const ms = (time: number): bigint => BigInt(time) * 1_000_000n;
const read = (start: number, version: number, by = 'a', key = 'k'): VersionRead => ({
  key,
  version,
  start: ms(start),
  by,
});
const invalidation = (at: number, version: number, by = 'a', key = 'k'): Invalidation => ({
  key,
  version,
  acknowledged: ms(at),
  by,
});

describe('staleReads', () => {
  const invalidations = [invalidation(10, 1), invalidation(20, 2, 'b'), invalidation(30, 3)];

  it('accepts what could not be known', () => {
    const reads = [
      read(5, 0),
      read(10, 0),
      read(11, 1),
      read(25, 1),
      read(119, 1, 'b', 'k2'),
      read(29, 2, 'c'),
      read(110, 0, 'c'),
      read(120, 1, 'c'),
      read(130, 2, 'c'),
      read(200, 4, 'c'),
    ];
    expect(staleReads({ reads, invalidations }, 100)).toEqual([]);
  });

  it.each<[string, VersionRead, number]>([
    ['what the process itself had invalidated', read(11, 0), 1],
    ['the last of what it had invalidated', read(31, 2), 3],
    ['what another invalidated longer ago than the bound', read(111, 0, 'c'), 1],
    ['the last of what others did', read(131, 2, 'c'), 3],
    ['what another did, in a process that invalidated as well', read(121, 1, 'b'), 2],
  ])('rejects a read that missed %s', (_what, stale, version) => {
    const found = staleReads(
      { reads: [read(5, 0), stale, read(200, 3)], invalidations: invalidations.toReversed() },
      100,
    );
    expect(found).toEqual([{ read: stale, missed: expect.objectContaining({ version }) }]);
  });

  it('knows that a later acknowledgement may be of an older version', () => {
    const late = [invalidation(10, 5, 'b'), invalidation(20, 4)];
    expect(staleReads({ reads: [read(21, 4)], invalidations: late }, 100)).toEqual([]);
    expect(staleReads({ reads: [read(121, 4)], invalidations: late }, 100)).toHaveLength(1);
  });
});

describe('the log', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'versions-'));
  });
  afterEach(() => {
    rmSync(dir, { recursive: true });
  });

  it('keeps what several processes noted, but for a torn last line', () => {
    const [a, b] = [new VersionLog(dir, 'a'), new VersionLog(dir, 'b')];
    a.read('k', 1, 10n);
    b.invalidated('k', 2, 20n);
    a.end();
    b.end();
    appendFileSync(join(dir, 'a.jsonl'), '{"r":["k",');
    expect(readVersionHistory(dir)).toEqual({
      reads: [{ key: 'k', version: 1, start: 10n, by: 'a' }],
      invalidations: [{ key: 'k', version: 2, acknowledged: 20n, by: 'b' }],
    });
  });
});
