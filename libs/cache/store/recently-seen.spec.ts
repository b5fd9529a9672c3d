import { expect, it } from '@jest/globals';
import { RecentlySeen } from './recently-seen.js';

it('keeps what is used, forgets what is not, and stays small', () => {
  const keys = new RecentlySeen(3);
  for (const key of ['a', 'b', 'c', 'd']) keys.add(key, { tags: [], text: key });
  expect(keys.find('a')).toEqual({ tags: [], chars: 1 });
  for (const key of ['e', 'f']) keys.add(key, { tags: [], text: key });
  // A generation has passed: only what was asked for in it is still there.
  expect(['a', 'b', 'c', 'd', 'e', 'f'].filter((key) => keys.find(key))).toEqual(['a', 'd', 'e', 'f']);
  keys.delete('a');
  keys.delete('f');
  expect([keys.find('a'), keys.find('f')]).toEqual([undefined, undefined]);
});

it('knows what an entry was last', () => {
  const keys = new RecentlySeen();
  const none: readonly string[] = [];
  keys.add('k', { tags: none, text: 'four' });
  keys.add('k', { tags: none, text: 'longer' });
  expect(keys.find('k')).toEqual({ tags: [], chars: 6 });
  keys.add('k', { tags: ['a'], text: 'longer' });
  expect(keys.find('k')).toEqual({ tags: ['a'], chars: 6 });
});

it('counts characters as well: long keys and tags do not fill the memory', () => {
  const keys = new RecentlySeen();
  const long = (n: number): string => String(n).padStart(1_000, 'k');
  for (let n = 0; n < 5_000; n++) keys.add(long(n), { tags: [], text: '' });
  expect(keys.find(long(0))).toBeUndefined();
  expect(keys.find(long(4_999))).toBeDefined();
  for (let n = 0; n < 5_000; n++) keys.add(String(n), { tags: [long(n)], text: '' });
  expect(keys.find('0')).toBeUndefined();
  for (let n = 0; n < 9_000; n++) keys.add(`short ${n}`, { tags: [], text: '' });
  expect(keys.find('short 0')).toBeDefined();
});
