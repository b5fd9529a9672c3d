import { expect, it } from '@jest/globals';
import { Ring, RingNode } from './ring.js';

class Item extends RingNode {
  constructor(readonly name: string) {
    super();
  }
}

const names = (ring: Ring<Item>): string =>
  ring
    .elements()
    .map(({ name }) => name)
    .join('');

it('keeps the order, and lets any element leave once', () => {
  const ring = new Ring<Item>();
  expect(ring.first).toBeUndefined();
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new Item(name)) as [Item, Item, Item];
  for (const item of [a, b, c]) ring.push(item);
  expect([names(ring), ring.first]).toEqual(['abc', a]);
  expect([b.unlink(), b.unlink()]).toEqual([true, false]);
  expect(names(ring)).toBe('ac');
  expect(a.unlink()).toBe(true);
  expect(ring.first).toBe(c);
  ring.push(a);
  expect(names(ring)).toBe('ca');
  for (const item of [a, c]) item.unlink();
  expect([names(ring), ring.first]).toEqual(['', undefined]);
});

it('gives its elements as they are now', () => {
  const ring = new Ring<Item>();
  for (const name of 'abc') ring.push(new Item(name));
  for (const item of ring.elements()) item.unlink();
  expect(names(ring)).toBe('');
});
