import { describe, expect, it } from '@jest/globals';
import { runInNewContext } from 'node:vm';
import { hashArguments } from './hash-arguments.js';

class Account {
  id = 1;
}
const cycle: Record<string, unknown> = {};
cycle['self'] = { again: cycle };

const nested = (depth: number): unknown => Array.from({ length: depth }).reduce((inner: unknown) => [inner], 1);

describe('hashArguments', () => {
  it('takes 200 levels, and no more', () => {
    expect(hashArguments([nested(200)])).toMatch(/^[\w-]{22}$/);
    expect(() => hashArguments([0, nested(201)])).toThrow(
      expect.objectContaining({
        code: 'SLUICE_CACHE_BAD_ARGUMENTS',
        message: expect.stringMatching(/^argument 2, its (\[0\]){66}/),
      }),
    );
  });

  it.each<[unknown[], string]>([
    [[], 'T1PNoYwrqgwDVLtfmj7L5e'],
    [['a'], 'DrW41vgbxnfaighWfMT6mg'],
    [[1, -0, 1.5, NaN, -Infinity], 'KBRz7eBLz0Bvtl1pMrg9V0'],
    [[true, null, undefined, 12n], 'hrWtfGD7llq546_MIAHiNt'],
    [[{ b: [1, { d: 'ü', c: null }], a: undefined }], 'VnQw-5iSeHThi_nkVAW6OI'],
    [
      [
        new Date(0),
        new Map<unknown, unknown>([
          ['k', 1],
          [{ x: 1 }, 2],
        ]),
        new Set([3, 'x']),
      ],
      '8o0KspF6UFP9-RaWQh2Odg',
    ],
    [[Buffer.from('ab'), new Float32Array([1])], 'YkcmcHsk-Xq-Cs-jh4EBTO'],
  ])('is frozen: %j', (args, hash) => {
    expect(hashArguments(args)).toBe(hash);
  });

  it.each<[string, unknown[], unknown[]]>([
    ['the order of keys', [{ a: 1, b: { c: 2, d: 3 } }], [{ b: { d: 3, c: 2 }, a: 1 }]],
    [
      'the order of a map',
      [
        new Map([
          ['a', 1],
          ['b', 2],
        ]),
      ],
      [
        new Map([
          ['b', 2],
          ['a', 1],
        ]),
      ],
    ],
    ['the order of a set', [new Set(['a', 'b'])], [new Set(['b', 'a'])]],
    ['a missing prototype', [{ a: 1 }], [Object.assign(Object.create(null) as object, { a: 1 })]],
    ['the realm', [{ a: [new Date(1)] }], [runInNewContext('({ a: [new Date(1)] })')]],
    ['the sign of zero', [0], [-0]],
    [
      'being one object twice',
      [[{ a: 1 }, { a: 1 }]],
      [
        (() => {
          const one = { a: 1 };
          return [one, one];
        })(),
      ],
    ],
  ])('does not see %s', (_what, one, other) => {
    expect(hashArguments(one)).toBe(hashArguments(other));
  });

  it('tells apart what is different', () => {
    const all: unknown[][] = [
      [],
      [undefined],
      [null],
      ['null'],
      [[]],
      [{}],
      [''],
      ['1'],
      [1],
      [1n],
      ['1n'],
      [true],
      ['a', 'b'],
      [['a', 'b']],
      ['a,b'],
      ['a","b'],
      [{ a: 1 }],
      [{ a: '1' }],
      [{ a: 1, b: undefined }],
      [new Date(1)],
      ['Date(1)'],
      [new Date(NaN)],
      [new Map([['a', 1]])],
      [new Set(['a'])],
      [new Set()],
      [new Map()],
      [Buffer.from('a')],
      [new Uint16Array([97])],
      [NaN],
      [Infinity],
      [[1, [2]]],
      [[[1], 2]],
    ];
    expect(new Set(all.map(hashArguments)).size).toBe(all.length);
  });

  it.each<[string, unknown[], string]>([
    ['a function', [1, () => 1], 'argument 2 is a function'],
    ['a symbol', [{ s: Symbol('s') }], 'argument 1, its .s, is a symbol'],
    [
      'an instance of a class',
      [1, 2, { list: [0, new Account()] }],
      'argument 3, its .list[1], is an instance of Account',
    ],
    ['a request', [new Request('http://localhost')], 'argument 1 is an instance of Request'],
    ['a match of a RegExp', [/a/.exec('a')], 'argument 1 is an array with holes or with properties of its own'],
    ['a symbol for a key', [{ [Symbol('s')]: 1 }], 'argument 1 is an object with a symbol for a key'],
    [
      'a date with a property',
      [Object.assign(new Date(0), { zone: 'x' })],
      'argument 1 is an instance of Date with properties',
    ],
    ['what is too deep', [nested(100_000)], 'is more than 200 levels deep, and no key'],
    ['a cycle', [cycle], 'argument 1, its .self.again, is a reference to something that contains it'],
  ])('refuses %s and says where', (_what, args, message) => {
    expect(() => hashArguments(args)).toThrow(
      expect.objectContaining({ code: 'SLUICE_CACHE_BAD_ARGUMENTS', message: expect.stringContaining(message) }),
    );
  });
});
