import { expect, it } from '@jest/globals';
import { Keyspace } from '../../redis/index.js';
import { CacheKeys, ENTRY_PREFIXES, entryOf } from './cache.keys.js';

const long = 'k'.repeat(1_025);

it('keeps a key of up to 1,024 bytes as it is', () => {
  expect(entryOf('user:7')).toBe(':user:7');
  expect(entryOf('user:7', 'v2')).toBe('~v:v2:user:7');
  expect(entryOf('ü'.repeat(512))).toBe(`:${'ü'.repeat(512)}`);
});

it('gives a longer key a short entry, another one for each key and version', () => {
  const entries = [
    ...[long, `${long}k`, 'ü'.repeat(513), 'k'.repeat(1 << 20)].map((key) => entryOf(key)),
    ...['v1', 'v2', 'v:1', 'v%3A1'].map((version) => entryOf(long, version)),
    // What a short key would have to be called to be taken for a long one.
    entryOf(entryOf(long)),
    entryOf(entryOf(long).slice(1)),
    entryOf(entryOf(long), 'v1'),
  ];
  expect(new Set(entries).size).toBe(entries.length);
  for (const entry of entries) expect(entry.length).toBeLessThan(100);
});

it('is frozen: what was written yesterday is found today', () => {
  expect(entryOf(long)).toBe('~h::ARzI3K3iT0PS1_lWBdhIHaHQuGR13vSb4Cv8IM7obmU');
  expect(entryOf(long, 'v 2')).toBe('~h:v%202:ARzI3K3iT0PS1_lWBdhIHaHQuGR13vSb4Cv8IM7obmU');
});

it('names every beginning of an entry, and nothing else of the lane', () => {
  const keys = new CacheKeys(new Keyspace('shop'));
  const begins = (text: string): boolean => ENTRY_PREFIXES.some((prefix) => text.startsWith(keys.value(prefix)));
  for (const entry of [entryOf('a'), entryOf('a', 'v'), entryOf(long), entryOf(long, 'v')]) {
    expect(begins(keys.value(entry))).toBe(true);
    expect(begins(keys.lease(entry))).toBe(false);
  }
  for (const key of [keys.sequence, keys.epoch, keys.recent, keys.tagPrefix, keys.slots('s'), keys.queue('s')]) {
    expect(begins(key)).toBe(false);
  }
});
