import { expect, it } from '@jest/globals';
import { HotKeys } from './hot-keys.js';

it('keeps what is used, forgets what is not, and stays small', () => {
  const keys = new HotKeys(3);
  for (const key of ['a', 'b', 'c', 'd']) keys.add(key, []);
  expect(keys.tagsOf('a')).toEqual([]);
  for (const key of ['e', 'f']) keys.add(key, []);
  // A generation has passed: only what was asked for in it is still there.
  expect(['a', 'b', 'c', 'd', 'e', 'f'].filter((key) => keys.tagsOf(key))).toEqual(['a', 'd', 'e', 'f']);
  keys.delete('a');
  keys.delete('f');
  expect([keys.tagsOf('a'), keys.tagsOf('f')]).toEqual([undefined, undefined]);
});
