import { expect, it } from '@jest/globals';
import { BriefMap } from './brief-map.js';

it('is a map', () => {
  const map = new BriefMap<string, number>();
  expect(map.get('a')).toBeUndefined();
  map.set('a', 1);
  map.set('b', 2);
  map.set('a', 3);
  expect(map.entries()).toEqual([
    ['a', 3],
    ['b', 2],
  ]);
  map.delete('a');
  expect(map.get('a')).toBeUndefined();
  expect(map.get('b')).toBe(2);
});

it('keeps the last when another is taken out that is not there', () => {
  const map = new BriefMap<string, number>();
  map.set('a', 1);
  map.delete('b');
  expect(map.get('a')).toBe(1);
  map.delete('a');
  map.delete('a');
  expect(map.entries()).toEqual([]);
});
