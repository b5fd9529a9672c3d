import { describe, expect, it } from '@jest/globals';
import { runInNewContext } from 'node:vm';
import { decode, encode } from './codec.js';

const copy = (value: unknown): unknown => decode(encode(value));

describe('the codec', () => {
  it.each<[string, unknown]>([
    ['text', 'ü\u2028\ud800"\\'],
    ['an empty text', ''],
    ['a text like a mark', '~1{"~u":0}'],
    ['numbers', [0, 1.5, -7, 1e300, Number.MIN_VALUE]],
    ['booleans and null', [true, false, null]],
    ['plain data', { id: 7, tags: ['a', 'b'], owner: { name: 'x', since: null } }],
  ])('stores %s as plain JSON, byte for byte', (_what, value) => {
    expect(encode(value)).toBe(JSON.stringify(value));
    expect(copy(value)).toStrictEqual(value);
  });

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['undefined in an object', { a: undefined, b: 1 }],
    ['undefined in an array', [1, undefined, 2]],
    ['NaN', NaN],
    ['infinities and minus zero', { up: Infinity, down: -Infinity, zero: -0 }],
    ['bigint', { balance: 123456789012345678901234567890n }],
    ['a date', { at: new Date(1_700_000_000_123) }],
    [
      'a map with odd keys',
      new Map<unknown, unknown>([
        [{ a: 1 }, new Date(1)],
        [NaN, undefined],
        ['k', new Map()],
      ]),
    ],
    ['a set', new Set([1, 'a', new Set([undefined])])],
    ['a buffer', { bytes: Buffer.from([0, 255, 10]) }],
    [
      'typed arrays',
      [new Uint8Array([1, 2]), new Float64Array([0.1, NaN]), new BigInt64Array([-1n]), new Uint16Array()],
    ],
    ['a part of an array buffer', new Uint16Array(new Uint16Array([1, 2, 3, 4]).buffer, 2, 2)],
    ['an object without a prototype', Object.assign(Object.create(null) as object, { a: 1, d: new Date(2) })],
    ['the marks themselves', [{ '~d': 1 }, { '~o': { '~u': 0 } }, { '~x': undefined }, { '~a': 1, '~b': 2 }]],
    ['a mark beside a date', { '~d': { '~d': new Date(3) } }],
    ['a key named __proto__', JSON.parse('{"__proto__":{"admin":true},"n":1}')],
    ['a key named __proto__ beside a date', { ...JSON.parse('{"__proto__":1}'), at: new Date(4) }],
    [
      'one object in two places',
      (() => {
        const shared = { at: new Date(5) };
        return [shared, shared];
      })(),
    ],
  ])('gives %s back', (_what, value) => {
    expect(copy(value)).toStrictEqual(value);
  });

  it('gives minus zero back as such', () => {
    expect(Object.is(copy(-0), -0)).toBe(true);
  });

  it('gives an invalid date back as such', () => {
    expect((copy(new Date(NaN)) as Date).getTime()).toBeNaN();
  });

  it('takes data of another realm for data', () => {
    const value: unknown = runInNewContext('({ at: new Date(6), list: [new Map([[1, { a: 1 }]])] })');
    expect(copy(value)).toStrictEqual({ at: new Date(6), list: [new Map([[1, { a: 1 }]])] });
  });

  it('never hands out one object twice', () => {
    const text = encode({ list: [1] });
    const [first, second] = [decode(text), decode(text)] as { list: number[] }[];
    first!.list.push(2);
    expect(second).toEqual({ list: [1] });
  });

  it('leaves the value as it was', () => {
    const value = Object.freeze({ at: Object.freeze(new Date(7)), list: Object.freeze([undefined, 1]) });
    encode(value);
    expect(value).toStrictEqual({ at: new Date(7), list: [undefined, 1] });
  });

  class Point {
    x = 1;
  }
  class Dates extends Date {}
  const cycle: { next?: object } = {};
  cycle.next = { back: [cycle] };

  it.each<[string, unknown, string]>([
    ['a function', { run: () => 1 }, "the value's .run is a function"],
    ['a symbol', [Symbol('s')], "the value's [0] is a symbol"],
    ['an instance of a class', { a: { 'b c': [new Point()] } }, `the value's .a["b c"][0] is an instance of Point`],
    ['an instance at the top', new Point(), 'the value is an instance of Point'],
    ['a subclass of a built-in', { at: new Dates() }, "the value's .at is an instance of Dates"],
    ['an error', new RangeError('x'), 'the value is an instance of RangeError'],
    ['a promise', [Promise.resolve()], "the value's [0] is an instance of Promise"],
    ['a boxed string', new String('x'), 'the value is an instance of String'],
    ['it with the way out', new Point(), 'or make the instance again with the revive option'],
    ['an array buffer', new ArrayBuffer(1), 'the value is an instance of ArrayBuffer'],
    ['a cycle', cycle, "the value's .next.back[0] is a reference to something that contains it"],
    ['a hole made up for by a property', Object.assign([1], { 2: 2, more: 3 }), 'the value is an array with holes'],
    ['a hole', Object.assign([1], { 2: 2 }), 'the value is an array with holes'],
    [
      'a match of a RegExp',
      { m: /a/.exec('a') },
      "the value's .m is an array with holes or with properties of its own",
    ],
    ['a symbol for a key', { [Symbol('s')]: 1 }, 'the value is an object with a symbol for a key'],
    ['a date with a property', Object.assign(new Date(), { zone: 'x' }), 'an instance of Date with properties'],
    ['a part of a map', new Map([['k', { f: () => 1 }]]), "the value's [0].f is a function"],
  ])('refuses %s and says where', (_what, value, message) => {
    expect(() => encode(value)).toThrow(
      expect.objectContaining({ code: 'SLUICE_CACHE_UNSERIALIZABLE', message: expect.stringContaining(message) }),
    );
  });

  it.each([
    '',
    '{',
    '~',
    '~1',
    '~2{}',
    '~1{"~q":1}',
    '~1{"~m":7}',
    '~1{"~i":"x"}',
    '~1{"~b":null}',
    '~1{"~a":["Evil","AA=="]}',
    '~1{"~a":["Uint16Array","AA=="]}',
    'hello',
    ...['{"length":500000000}', '["Uint8Array",7]', '7', '[7]', 'true'].map((body) => `~1{"~b":${body}}`),
    ...[
      '{"length":9}',
      '"Uint8Array"',
      '["Uint8Array",{"length":500000000}]',
      '["Uint8Array"]',
      '[["Uint8Array"],""]',
    ].map((body) => `~1{"~a":${body}}`),
    ...['7', '["7"]', '"0x10"', '""', '" 7"', '"1e3"', '"-"', 'true', '{}', `"${'9'.repeat(10_002)}"`].map(
      (body) => `~1{"~i":${body}}`,
    ),
    ...['7', '"7"', '""', '["NaN"]', 'null', '{}'].map((body) => `~1{"~n":${body}}`),
    ...['"2020"', 'true', '[]', '{}'].map((body) => `~1{"~d":${body}}`),
    ...['{}', '"ab"', '[7]', '[[1]]', '[[1,2,3]]', '[{"0":1,"1":2,"length":2}]', 'null'].map(
      (body) => `~1{"~m":${body}}`,
    ),
    ...['{}', '"ab"', '7', 'null', '{"length":5}'].map((body) => `~1{"~s":${body}}`),
    ...['7', '"ab"', 'null', '[1]'].flatMap((body) => [`~1{"~z":${body}}`, `~1{"~o":${body}}`]),
    `~1{"~m":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    `~1${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`,
    `~1${'{"~s":['.repeat(50_000)}1${']}'.repeat(50_000)}`,
  ])('throws at broken text: %.60j', (text) => {
    const before = process.cpuUsage();
    expect(() => decode(text)).toThrow(SyntaxError);
    const { user, system } = process.cpuUsage(before);
    // Those of old took a second, or many, of the processor.
    expect((user + system) / 1_000).toBeLessThan(500);
  });

  it.each<[string, (inner: unknown) => unknown]>([
    ['objects', (inner) => ({ inner })],
    ['arrays', (inner) => [inner]],
    ['maps', (inner) => new Map([['k', inner]])],
    ['sets', (inner) => new Set([inner])],
    ['objects without a prototype', (inner) => Object.assign(Object.create(null) as object, { inner })],
    ['objects with a tilde', (inner) => ({ '~d': inner })],
  ])('gives 200 levels of %s back, and refuses more by their path', (_what, around) => {
    const nested = (depth: number): unknown =>
      Array.from({ length: depth }).reduce((inner: unknown) => around(inner), undefined);
    expect(copy(nested(200))).toStrictEqual(nested(200));
    for (const depth of [201, 5_000]) {
      expect(() => encode(nested(depth))).toThrow(
        expect.objectContaining({
          code: 'SLUICE_CACHE_UNSERIALIZABLE',
          message: expect.stringMatching(/^the value's .{200}.* lies more than 200 levels deep$/),
        }),
      );
    }
  });

  it.each<[string, string, string, number]>([
    ['arrays', '[', ']', 200],
    ['objects', '{"a":', '}', 200],
    ['marked arrays', '[', ']', 601],
    ['marked objects', '{"a":', '}', 601],
  ])('reads %s as deep as they are written, and no deeper', (what, open, close, levels) => {
    const text = (depth: number): string =>
      `${what.startsWith('marked') ? '~1' : ''}${open.repeat(depth)}7${close.repeat(depth)}`;
    expect(decode(text(levels))).toBeDefined();
    for (const depth of [levels + 1, 200_000]) expect(() => decode(text(depth))).toThrow('too deep');
  });

  it('gives bigints of 10,000 digits back, and refuses longer ones', () => {
    const most = 10n ** 10_000n - 1n;
    expect(copy([most, -most])).toEqual([most, -most]);
    for (const more of [most + 1n, -most - 1n, 1n << 1_000_000n]) {
      expect(() => encode([more])).toThrow("the value's [0] is a bigint of more than 10000 digits");
    }
  });

  it('is frozen: what was written yesterday reads today', () => {
    expect(
      decode(
        '~1{"u":{"~u":0},"n":{"~n":"-Infinity"},"i":{"~i":"-9"},"d":{"~d":1},"m":{"~m":[["k",{"~s":[1]}]]},' +
          '"b":{"~b":"AP8="},"a":{"~a":["Uint16Array","AQACAA=="]},"z":{"~z":{"k":1}},"o":{"~o":{"~d":1}}}',
      ),
    ).toStrictEqual({
      u: undefined,
      n: -Infinity,
      i: -9n,
      d: new Date(1),
      m: new Map([['k', new Set([1])]]),
      b: Buffer.from([0, 255]),
      a: new Uint16Array([1, 2]),
      z: Object.assign(Object.create(null) as object, { k: 1 }),
      o: { '~d': 1 },
    });
  });

  describe('of instances, on demand', () => {
    class Money {
      constructor(
        readonly cents: bigint,
        readonly at = new Date(0),
      ) {}
      toJSON(): string {
        return 'money';
      }
    }

    it('writes their own properties down, at any depth', () => {
      const prices = { list: [new Money(5n)], only: Object.assign(new Money(7n), { note: 'x' }) };
      const at = new Date(0);
      expect(decode(encode(prices, { instances: true }))).toStrictEqual({
        list: [{ cents: 5n, at }],
        only: { cents: 7n, at, note: 'x' },
      });
      class Plain {
        id = 1;
        toJSON(): string {
          return 'plain';
        }
      }
      expect(decode(encode(new Plain(), { instances: true }))).toEqual({ id: 1 });
    });

    it.each<[string, unknown]>([
      ['an error', new Error('x')],
      ['a promise', Promise.resolve()],
      ['a function', { f: () => 1 }],
      ['a map of another class', new (class extends Map {})()],
      ['an instance in itself', Object.assign(new Money(1n), { self: {} })],
    ])('refuses %s all the same', (what, value) => {
      if (what === 'an instance in itself') (value as { self: unknown }).self = value;
      expect(() => encode(value, { instances: true })).toThrow('would not come back as it was');
    });
  });
});
