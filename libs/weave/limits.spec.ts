import { describe, expect, it } from '@jest/globals';
import { inspect } from 'node:util';
import { clip, isDeeperThan, isLongerThan, isWellFormed, show } from './limits.js';

describe('isLongerThan', () => {
  it.each([
    ['', 0, false],
    ['a'.repeat(1_024), 1_024, false],
    ['a'.repeat(1_025), 1_024, true],
    ['ü'.repeat(512), 1_024, false],
    ['ü'.repeat(513), 1_024, true],
    ['鍵'.repeat(341), 1_024, false],
    ['鍵'.repeat(342), 1_024, true],
    ['😀'.repeat(256), 1_024, false],
    ['😀'.repeat(257), 1_024, true],
  ])('counts bytes of UTF-8, case %#', (text, bytes, longer) => {
    expect(isLongerThan(text, bytes)).toBe(longer);
    expect(Buffer.byteLength(text) > bytes).toBe(longer);
  });
});

describe('isDeeperThan', () => {
  it.each([
    ['[[]]', 1, true],
    ['[[]]', 2, false],
    ['{"a":[{}]}', 2, true],
    ['{"a":[{}]}', 3, false],
    ['[[],[],[]]', 2, false],
    ['["[[["]', 1, false],
    ['["\\"[[["]', 1, false],
    ['["\\\\",[[["x"]]]]', 3, true],
    ['7', 0, false],
    ['['.repeat(100_000), 200, true],
  ])('of %.20j by %d', (json, depth, deeper) => {
    expect(isDeeperThan(json, depth)).toBe(deeper);
  });
});

it('knows lone surrogates from pairs', () => {
  expect(['', 'a', '😀', '鍵'].every(isWellFormed)).toBe(true);
  expect(['\ud83d', 'a\ude00', '\ude00\ud83d', '😀\ud83d'].some(isWellFormed)).toBe(false);
});

describe('clip', () => {
  it('leaves short text as it is, and names the length of a longer one', () => {
    expect(clip('a'.repeat(200))).toBe('a'.repeat(200));
    expect(clip('a'.repeat(201))).toBe(`${'a'.repeat(200)}… (201 characters)`);
  });

  it('cuts no pair in two', () => {
    expect(clip('aa😀', 3)).toBe('aa… (4 characters)');
  });
});

describe('show', () => {
  const read = (): never => {
    throw new Error('foreign code was run');
  };
  const hostile = { revoked: Proxy.revocable({}, {}), key: 'x'.repeat(1 << 20) };
  hostile.revoked.revoke();

  it.each<[string, unknown, string]>([
    ['text', "it's\n\u001b[2J", '"it\'s\\n\\x1B[2J"'],
    ['long text', 'a'.repeat(1 << 20), `'${'a'.repeat(200)}'… (1048576 characters)`],
    ['long text of many lines', 'a\n'.repeat(1 << 10), `'${'a\\n'.repeat(100)}'… (2048 characters)`],
    ['a number', -0, '0'],
    ['undefined', undefined, 'undefined'],
    ['a symbol', Symbol('s'), 'Symbol(s)'],
    ['a function', () => 1, 'a function'],
    ['an object', { a: 1, b: { c: 2 } }, '{ a: 1, b: [Object] }'],
    [
      'an object without a prototype',
      Object.assign(Object.create(null) as object, { a: 1 }),
      '[Object: null prototype]',
    ],
    ['a getter, unread', Object.defineProperty({}, 'a', { enumerable: true, get: read }), '[Getter]'],
    ['its own inspection, not run', { [inspect.custom]: () => 'forged' }, '[Function'],
    ['a text that throws', { toString: 1, [Symbol.toPrimitive]: 1 }, '{ toString: 1'],
    [
      'a tag that throws',
      Object.defineProperty({}, Symbol.toStringTag, { get: () => JSON.parse('{') as string }),
      'shown',
    ],
    ['a proxy', new Proxy({}, { ownKeys: read }), 'a proxy'],
    ['a proxy that is revoked', hostile.revoked.proxy, 'a proxy'],
    [
      'a large object',
      Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`k${i}`, i])),
      'an object of 1000 keys',
    ],
    ['a large array', new Array<string>(100_000).fill(hostile.key), 'more items'],
    ['bytes', Buffer.alloc(1 << 20), '1048576 bytes'],
    ['an error', Object.assign(new Error('no\nway'), { secret: 1 }), "an error with the message 'no\\nway'"],
  ])('shows %s', (_what, value, wanted) => {
    const shown = show(value);
    expect(shown).toContain(wanted);
    expect(shown).not.toMatch(/\p{Cc}/u);
    expect(shown.length).toBeLessThan(350);
  });
});
