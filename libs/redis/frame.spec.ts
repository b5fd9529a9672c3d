import { expect, it } from '@jest/globals';
import { frame, unframe } from './frame.js';

it('carries any bytes', () => {
  const parts = ['kind', '', 'ü:3:', Buffer.from([0, 58, 255])];
  expect(unframe(frame(...parts))).toEqual(parts.map((part) => Buffer.from(part)));
});

it.each(['', ':', 'abc', '3:ab', '-1:', '1.5:aa', '1:a2:b', '99999999999999999999:a', ' 1:a x'])(
  'does not take %p for a message',
  (text) => {
    expect(unframe(Buffer.from(text))).toBeUndefined();
  },
);
