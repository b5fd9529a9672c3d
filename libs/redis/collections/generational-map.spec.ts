import { expect, it } from '@jest/globals';
import { GenerationalMap } from './generational-map.js';

const all = 'abcdef';
const known = (map: GenerationalMap<string, string>): string =>
  map
    .entries()
    .map(([key]) => key)
    .sort()
    .join('');

it('keeps what is used, forgets what is not, and holds at most two generations', () => {
  const map = new GenerationalMap<string, string>({ size: 2 });
  map.set('hot', 'hot');
  for (const key of all) {
    map.set(key, key);
    expect(map.get('hot')).toBe('hot');
    expect(map.entries().length).toBeLessThanOrEqual(4);
  }
  expect(map.get('a')).toBeUndefined();
  expect(map.get('f')).toBe('f');
});

it('has each key once, with its last value', () => {
  const map = new GenerationalMap<string, string>({ size: 2 });
  for (const key of ['a', 'b', 'c', 'a']) map.set(key, key);
  map.set('a', 'new');
  expect(known(map)).toBe('abc');
  expect(map.get('a')).toBe('new');
  map.delete('a');
  map.delete('b');
  expect(known(map)).toBe('c');
  expect([map.get('a'), map.get('b')]).toEqual([undefined, undefined]);
});

it('bounds the weight of a generation, and counts an entry once in each', () => {
  const map = new GenerationalMap<string, string>({
    size: 100,
    weightMax: 4,
    weigh: (key, value) => key.length + value.length,
  });
  for (let i = 0; i < 10; i++) map.set('a', 'a');
  map.set('b', 'b');
  expect(known(map)).toBe('ab');
  map.set('c', 'ccc');
  map.set('d', 'd');
  expect(known(map)).toBe('cd');
});
