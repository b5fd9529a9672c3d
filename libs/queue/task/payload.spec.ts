import { describe, expect, it } from '@jest/globals';
import { runInNewContext } from 'node:vm';
import { encodePayload } from './payload.js';

class Order {
  constructor(readonly id: number) {}
}

const cyclic: Record<string, unknown> = { a: { b: [] } };
(cyclic['a'] as { b: unknown[] }).b.push(cyclic);

describe('encodePayload', () => {
  it.each<[string, unknown]>([
    ['null', null],
    ['text', 'ü \ud800 "quoted"'],
    ['a number', -1.5e300],
    ['an empty object', {}],
    ['what is nested', { a: [1, [true, { b: null }]], 'c d': 'x' }],
    ['an object without prototype', Object.assign(Object.create(null) as object, { a: 1 })],
    ['the same object twice', ((one) => [one, { one }])({ a: 1 })],
    ['a plain object of another realm', runInNewContext('({ a: [1, { b: 2 }] })')],
    ['an own key __proto__', JSON.parse('{"__proto__":{"a":1}}')],
  ])('carries %s', (_what, payload) => {
    expect(JSON.parse(encodePayload(payload))).toEqual(payload);
  });

  it('makes 0 of -0, as JSON does', () => {
    expect(encodePayload([-0])).toBe('[0]');
  });

  it.each<[string, unknown, string]>([
    ['undefined', undefined, 'payload is undefined'],
    ['a function', () => 1, 'payload is a function'],
    ['a bigint', { total: 1n }, 'payload.total is a bigint'],
    ['a symbol', [Symbol('x')], 'payload[0] is a symbol'],
    ['NaN', { items: [{ price: 1 }, { price: NaN }] }, 'payload.items[1].price is NaN'],
    ['Infinity', [[Infinity]], 'payload[0][0] is Infinity'],
    ['an undefined member', { a: 1, 'b-c': undefined }, 'payload["b-c"] is undefined'],
    ['an undefined element', [1, undefined], 'payload[1] is undefined'],
    ['a hole', new Array(2), 'payload[0] is a hole'],
    ['an array with a name', Object.assign([1], { total: 2 }), 'payload.total is a named property'],
    [
      'a Date',
      { at: new Date(0) },
      'payload.at is an instance of Date, and JSON keeps no classes: publish toISOString()',
    ],
    ['a Map', new Map(), 'payload is an instance of Map, and JSON keeps no classes: publish a list'],
    ['a Buffer', { bytes: Buffer.alloc(1) }, 'payload.bytes is an instance of Buffer'],
    [
      'a class instance',
      { order: new Order(1) },
      'payload.order is an instance of Order, and JSON keeps no classes: publish a plain copy',
    ],
    ['a boxed string', { text: new String('x') }, 'payload.text is an instance of String'],
    ['toJSON', { a: { toJSON: () => 1 } }, 'payload.a.toJSON is a function'],
    ['a symbol key', { [Symbol('secret')]: 1 }, 'payload["Symbol(secret)"] is keyed by a symbol'],
    ['a cycle', cyclic, 'payload.a.b[0] is payload again'],
    ['an inner cycle', { x: [cyclic] }, 'payload.x[0].a.b[0] is payload.x[0] again'],
  ])('refuses %s by its path', (_what, payload, message) => {
    expect(() => encodePayload(payload)).toThrow(
      expect.objectContaining({ code: 'SLUICE_QUEUE_UNSERIALIZABLE', message: expect.stringContaining(message) }),
    );
  });
});

/** An array in an array, and so on: so many levels. */
function nested(depth: number, innermost: unknown = 1): unknown {
  let value = innermost;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

describe('the walk', () => {
  it('takes 200 levels, and names the place of the first that is too deep', () => {
    expect(JSON.parse(encodePayload(nested(200)))).toEqual(nested(200));
    const tooDeep = { code: 'SLUICE_QUEUE_UNSERIALIZABLE', path: `payload${'[0]'.repeat(200)}` };
    expect(() => encodePayload(nested(201))).toThrow(expect.objectContaining(tooDeep));
    // Deeper than the stack of JSON.stringify.
    expect(() => encodePayload(nested(100_000))).toThrow(
      expect.objectContaining({ ...tooDeep, message: expect.stringContaining('lies more than 200 levels deep') }),
    );
  });

  it('finds a cycle wherever it closes, by its first repetition', () => {
    const ring: { next?: unknown; a?: unknown } = {};
    ring.next = { back: ring };
    for (const [payload, message] of [
      [ring, 'payload.next.back is payload again'],
      [{ list: [1, ring] }, 'payload.list[1].next.back is payload.list[1] again'],
      [nested(198, ring), `payload${'[0]'.repeat(33)}… `],
    ] as const) {
      expect(() => encodePayload(payload)).toThrow(
        expect.objectContaining({
          code: 'SLUICE_QUEUE_UNSERIALIZABLE',
          message: expect.stringContaining(message.slice(0, 99)),
        }),
      );
    }
  });

  it.each<[string, () => unknown]>([
    [
      'many arrays, deep',
      () =>
        nested(
          198,
          Array.from({ length: 1_000_000 }, () => []),
        ),
    ],
    ['many objects', () => Array.from({ length: 1_000_000 }, (_, id) => ({ id }))],
    ['a long key', () => ({ ['k'.repeat(2 << 20)]: 1 })],
    ['a long text', () => ['x'.repeat(2 << 20), new Date()]],
    // 2^100 places.
    ['one array again and again', () => Array.from({ length: 100 }).reduce((inner: unknown) => [inner, inner], [1])],
  ])('ends where the limit of bytes is passed: %s', (_what, make) => {
    const payload = make();
    const { seen, proxied } = counting(payload);
    expect(() => encodePayload(proxied, 'payload', 1 << 20)).toThrow(
      expect.objectContaining({ code: 'SLUICE_QUEUE_PAYLOAD_TOO_LARGE' }),
    );
    // No value takes less than a character and its comma.
    expect(seen()).toBeLessThan(1 << 20);
  });

  it('never refuses for its size what fits', () => {
    for (const payload of ['', 'ü', 0, null, [], {}, [[], [1, 'a', true, null]], { a: 'b', c: [{}] }, [[[[]]]]]) {
      const { length } = JSON.stringify(payload);
      const bytes = Buffer.byteLength(JSON.stringify(payload));
      expect(encodePayload(payload, 'payload', bytes)).toHaveLength(length);
      expect(() => encodePayload(payload, 'payload', bytes - 1)).toThrow(
        expect.objectContaining({ code: 'SLUICE_QUEUE_PAYLOAD_TOO_LARGE', maxBytes: bytes - 1 }),
      );
    }
  });
});

/** The payload, and how many of the values of its outermost container have been read. */
function counting(payload: unknown): { proxied: unknown; seen: () => number } {
  let reads = 0;
  const proxied = new Proxy(payload as object, {
    get(target, key, receiver): unknown {
      reads++;
      return Reflect.get(target, key, receiver);
    },
  });
  return { proxied, seen: () => reads };
}
