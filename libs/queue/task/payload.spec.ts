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
    ['a Date', { at: new Date(0) }, 'payload.at is an instance of Date'],
    ['a Map', new Map(), 'payload is an instance of Map'],
    ['a Buffer', { bytes: Buffer.alloc(1) }, 'payload.bytes is an instance of Buffer'],
    ['a class instance', { order: new Order(1) }, 'payload.order is an instance of Order'],
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
