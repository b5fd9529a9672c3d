import { describe, expect, it, jest } from '@jest/globals';
import { CacheBed } from '../../../test/support/cache-bed.js';
import { HeldLoader } from '../../../test/support/cache-member.js';
import { commandDelta } from '../../../test/support/command-delta.js';
import { until } from '../../../test/support/until.js';
import type { BatchLoader } from './batch-load.js';

const bed = new CacheBed();
const squares = (): jest.Mock<BatchLoader<string>> => jest.fn((keys) => keys.map((key) => `${key}²`));

describe('getOrLoadMany', () => {
  it('loads what is missing in one call, in order, and answers in order', async () => {
    const { cache } = await bed.member();
    await cache.set('b', 'there');
    const load = squares();
    expect(await cache.getOrLoadMany(['c', 'b', 'a', 'c'], load)).toEqual(['c²', 'there', 'a²', 'c²']);
    expect(load.mock.calls.map(([keys]) => keys)).toEqual([['c', 'a']]);
    expect(await cache.getMany(['a', 'x', 'b'])).toEqual(['a²', undefined, 'there']);
    expect(await cache.getOrLoadMany([], load)).toEqual([]);
    expect(load).toHaveBeenCalledTimes(1);
  });

  it('costs one question per key before the load and one fill after it', async () => {
    const { cache } = await bed.member();
    await cache.getOrLoadMany(['warm', 'the scripts'], squares());
    const keys = Array.from({ length: 50 }, (_, i) => `key ${i}`);
    const load = squares();
    const { calls } = await commandDelta(bed.admin, () => cache.getOrLoadMany(keys, load));
    expect(load).toHaveBeenCalledTimes(1);
    expect(calls['evalsha']).toBe(100);
  });

  it('loads each key once for the fleet, and waits for others only while its own batch runs', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    const held = new HeldLoader<string>();
    const alone = a.cache.getOrLoad('k', held.load);
    const run = await held.run();
    const load = squares();
    const many = b.cache.getOrLoadMany(['k', 'l'], load);
    await bed.waiters(1);
    // Its own batch did not wait for k.
    expect(await b.cache.getOrLoad('l', () => 'never')).toBe('l²');
    run.succeed('by the other');
    expect(await many).toEqual(['by the other', 'l²']);
    expect(await alone).toBe('by the other');
    expect(load.mock.calls.map(([keys]) => keys)).toEqual([['l']]);
  });

  it('cannot lock itself up with another: keys crosswise', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);
    const [one, other] = [squares(), squares()];
    const [x, y] = await Promise.all([
      a.cache.getOrLoadMany(keys, one),
      b.cache.getOrLoadMany([...keys].reverse(), other),
    ]);
    expect(x).toEqual(keys.map((key) => `${key}²`));
    expect(y).toEqual([...x].reverse());
    const loaded = [...one.mock.calls, ...other.mock.calls].flatMap(([given]) => given);
    expect(loaded.sort()).toEqual([...keys].sort());
  });

  it('waits for no slot that it holds itself', async () => {
    const { cache } = await bed.member();
    const load = squares();
    const keys = ['a', 'b', 'c', 'd', 'e'];
    expect(await cache.getOrLoadMany(keys, load, { maxConcurrentLoads: 2 })).toEqual(keys.map((key) => `${key}²`));
    expect(Math.max(...load.mock.calls.map(([given]) => given.length))).toBeLessThanOrEqual(2);
  });

  it('takes over keys whose loader failed elsewhere, and joins what this process loads', async () => {
    const { cache } = await bed.member();
    const held = new HeldLoader<string>();
    const alone = cache.getOrLoad('k', held.load);
    const run = await held.run();
    const many = cache.getOrLoadMany(['k', 'l'], squares());
    run.succeed('joined');
    expect(await many).toEqual(['joined', 'l²']);
    await alone;
  });

  it('rejects with the first failure in order, stores the others', async () => {
    const { cache } = await bed.member();
    const [one, two] = [new Error('one'), new Error('two')];
    await expect(cache.getOrLoadMany(['a', 'b', 'c'], () => ['A', one, two], { errorBackoffMs: 0 })).rejects.toBe(one);
    expect(await cache.getMany(['a', 'b', 'c'])).toEqual(['A', undefined, undefined]);
    const all = new Error('all');
    await expect(cache.getOrLoadMany(['d', 'e'], () => Promise.reject(all), { errorBackoffMs: 0 })).rejects.toBe(all);
    await expect(cache.getOrLoadMany(['d', 'e'], () => ['only one'], { errorBackoffMs: 0 })).rejects.toMatchObject({
      code: 'SLUICE_CACHE_BAD_BATCH',
    });
  });

  it('aborts a batch when nothing of it is of use any more', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    let signal!: AbortSignal;
    let began!: () => void;
    const running = new Promise<void>((resolve) => (began = resolve));
    const many = a.cache.getOrLoadMany(['a', 'b'], async (keys, context) => {
      signal = context.signal;
      began();
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve);
      });
      return keys.map(() => 'old');
    });
    await running;
    await b.cache.delete('a');
    expect(signal.aborted).toBe(false);
    await b.cache.delete('b');
    // Who asked before the invalidation may have it; nobody else.
    expect(await many).toEqual(['old', 'old']);
    expect(signal.aborted).toBe(true);
    expect(await b.cache.getMany(['a', 'b'])).toEqual([undefined, undefined]);
  });
});

describe('warm', () => {
  it('loads what is missing, so many at a time, and tells how far it is', async () => {
    const { cache } = await bed.member();
    await cache.set('k3', 'there');
    let running = 0;
    let most = 0;
    const done: number[] = [];
    async function* entries(): AsyncGenerator<{ key: string; loader: () => Promise<string> }> {
      for (let i = 0; i < 20; i++) {
        yield {
          key: `k${i}`,
          loader: async () => {
            most = Math.max(most, ++running);
            await new Promise((resolve) => setImmediate(resolve));
            running--;
            if (i === 5) throw new Error('five');
            return `${i}`;
          },
        };
      }
    }
    const report = await cache.warm(entries(), { concurrency: 4, onProgress: (progress) => done.push(progress.done) });
    expect(report).toEqual({
      done: 20,
      loaded: 18,
      failed: [{ key: 'k5', error: expect.objectContaining({ message: 'five' }) }],
    });
    expect(done).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(most).toBeLessThanOrEqual(4);
    expect(most).toBeGreaterThan(1);
    expect(await cache.getMany(['k0', 'k3', 'k19'])).toEqual(['0', 'there', '19']);
  });

  it('refuses options that it does not know', async () => {
    const { cache } = await bed.member();
    await expect(cache.warm([], { concurrency: 0 })).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    await expect(cache.warm(7 as never)).rejects.toBeInstanceOf(TypeError);
  });
});

describe('keys that a batch gets to load later', () => {
  it('are one further call of its loader', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    const keys = Array.from({ length: 40 }, (_, i) => `late ${i}`);
    const held = new HeldLoader<string[]>();
    const first = a.cache.getOrLoadMany(keys, (asked) => held.load({ key: asked[0]!, signal: AbortSignal.abort() }));
    await held.run();
    const calls: number[] = [];
    const second = b.cache.getOrLoadMany(keys, (asked) => {
      calls.push(asked.length);
      return asked.map(() => 'second');
    });
    await until(async () => (await bed.waitersOf('{cache}~lease:late 39')) === 1, { what: 'they wait' });
    await a.cache.clear();
    await a.close();
    expect(await second).toEqual(keys.map(() => 'second'));
    expect(calls.length).toBeLessThan(10);
    held.runs[0]!.succeed(keys);
    await first.catch(() => {});
  });
});
