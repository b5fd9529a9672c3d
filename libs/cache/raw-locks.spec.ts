import { describe, expect, it } from '@jest/globals';
import { RawLocks } from './raw-locks.js';

const lock = (token: string, untilMs = 1_000): { token: string; untilMs: number } => ({ token, untilMs });

describe('the load locks of cache.raw', () => {
  it('are taken once, the newest of a key', () => {
    const locks = new RawLocks();
    locks.add('a', lock('1'), 0);
    locks.add('a', lock('2'), 0);
    expect([locks.take('a'), locks.take('a'), locks.take('b')]).toEqual(['2', undefined, undefined]);
  });

  it('are remembered for ten minutes past their end', () => {
    const locks = new RawLocks();
    locks.add('old', lock('1', 1_000), 0);
    locks.add('other', lock('2', 900_000), 600_999);
    expect(locks.size).toBe(2);
    locks.add('third', lock('3', 900_000), 601_000);
    expect([locks.take('old'), locks.take('other')]).toEqual([undefined, '2']);
  });

  it('are 100,000 at most', () => {
    const locks = new RawLocks();
    for (let i = 0; i <= 100_000; i++) locks.add(`k${i}`, lock('1'), 0);
    expect([locks.size, locks.take('k0'), locks.take('k1')]).toEqual([100_000, undefined, '1']);
  });

  it('have 4,000,000 characters of keys at most, however few they are', () => {
    const locks = new RawLocks();
    const key = (i: number): string => String(i).padStart(1_000, 'x');
    for (let i = 0; i < 4_000; i++) locks.add(key(i), lock('1'), 0);
    expect(locks.size).toBe(4_000);
    for (let i = 0; i < 10_000; i++) locks.add(key(1), lock('1'), 0); // the same key counts once
    expect(locks.size).toBe(4_000);
    locks.add(key(4_000), lock('1'), 0);
    expect([locks.size, locks.take(key(0)), locks.take(key(2))]).toEqual([4_000, undefined, '1']);
  });
});
