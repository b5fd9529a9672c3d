import { expect, it } from '@jest/globals';
import { frame, unframe } from './frame.js';

it.each([
  ['one byte per character', ['kind', '', '3:ab', '\0\r\n']],
  ['more', ['kind', '', 'ü:3:', '鍵 😀', 'x']],
])('carries any text: %s', (_what, parts) => {
  expect(unframe(frame(...parts))).toEqual(parts);
});

it('cuts where the bytes say, also where they are no text', () => {
  const broken = Buffer.concat([Buffer.from('4:kind3:a'), Buffer.from([0xff]), Buffer.from('b2:ü1:x')]);
  expect(unframe(broken)).toEqual(['kind', 'a\ufffdb', 'ü', 'x']);
  // As many characters as bytes.
  expect(unframe(Buffer.concat([Buffer.from('3:a'), Buffer.from([0xff]), Buffer.from('b1:x')]))).toEqual([
    'a\ufffdb',
    'x',
  ]);
});

it.each(['', ':', 'abc', '3:ab', '-1:', '1.5:aa', '1:a2:b', '99999999999999999999:a', ' 1:a x'])(
  'does not take %p for a message',
  (text) => {
    expect(unframe(Buffer.from(text))).toBeUndefined();
  },
);
