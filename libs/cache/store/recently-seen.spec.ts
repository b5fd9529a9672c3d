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
