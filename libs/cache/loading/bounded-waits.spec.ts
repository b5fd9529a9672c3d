import { describe, expect, it, jest } from '@jest/globals';
import { CacheBed } from '../../../test/support/cache-bed.js';
import { HeldLoader, type CacheMember } from '../../../test/support/cache-member.js';
import { until } from '../../../test/support/until.js';

jest.setTimeout(60_000);

const bed = new CacheBed();
const code = (name: string): unknown => expect.objectContaining({ code: name });
const TIMEOUT = code('SLUICE_CACHE_LOADER_TIMEOUT');
const CIRCULAR = code('SLUICE_CACHE_CIRCULAR_LOAD');
const never = (): Promise<never> => new Promise(() => {});

describe('a wait', () => {
  it('for a slot ends with loaderTimeoutMs, and leaves no place in the queue', async () => {
    const { cache } = await bed.member();
    const options = { source: 'db', maxConcurrentLoads: 1 };
    const slow = new HeldLoader();
    const first = cache.getOrLoad('first', slow.load, options);
    await slow.run();
    await expect(cache.getOrLoad('second', () => 2, { ...options, loaderTimeoutMs: 300 })).rejects.toEqual(TIMEOUT);
    await until(async () => (await bed.admin.zcard('{cache}~queue:db')) === 0, { what: 'the queue is empty' });
    slow.runs[0]!.succeed(1);
    expect(await first).toBe(1);
  });

  it('for the loads of other processes ends with loaderTimeoutMs, however many fail one after the other', async () => {
    const members = [await bed.member(), await bed.member(), await bed.member(), await bed.member()];
    let loads = 0;
    const hung = (): Promise<never> => {
      loads++;
      return never();
    };
    const reads = members.map(({ cache }) => cache.getOrLoad('k', hung, { loaderTimeoutMs: 1_000 }));
    for (const result of await Promise.allSettled(reads)) expect(result).toMatchObject({ reason: TIMEOUT });
    // The first load, and one that took over as its time was up. It was four, one after the other.
    expect(loads).toBeLessThanOrEqual(2);
  });

  it('for a value that unless keeps out of the cache ends with that value', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    const source = new HeldLoader();
    const options = { unless: () => true };
    const reads = [a.cache.getOrLoad('k', source.load, options)];
    await source.run();
    reads.push(b.cache.getOrLoad('k', source.load, options));
    await bed.waiters(1);
    source.runs[0]!.succeed('answer');
    expect(await Promise.all(reads)).toEqual(['answer', 'answer']);
    expect(source.runs).toHaveLength(1);
    expect(await a.cache.get('k')).toBe(undefined);
  });
});

describe('a limited source', () => {
  it('lets loads inside a load ride on its slot', async () => {
    const { cache } = await bed.member({ maxConcurrentLoads: 2 });
    const nested = (key: string): Promise<string> =>
      cache.getOrLoad(`outer ${key}`, async () => `${await cache.getOrLoad(`inner ${key}`, () => key)}!`);
    expect(await Promise.all(['a', 'b', 'c', 'd'].map(nested))).toEqual(['a!', 'b!', 'c!', 'd!']);
    await until(async () => (await bed.admin.zcard('{cache}~slots:')) === 0, { what: 'all slots are free' });
  });

  it('does so while Redis is away', async () => {
    const { cache, connections } = await bed.member({ maxConcurrentLoads: 1 });
    await connections.get().commands.close();
    const nested = cache.getOrLoad('outer', async () => `${await cache.getOrLoad('inner', () => 'v')}!`);
    expect(await nested).toBe('v!');
  });

  it('counts a loader that never ends for twice its time', async () => {
    const { cache } = await bed.member();
    const options = { source: 'db', maxConcurrentLoads: 1 };
    await expect(cache.getOrLoad('hung', never, { ...options, loaderTimeoutMs: 200 })).rejects.toEqual(TIMEOUT);
    expect(await cache.getOrLoad('k', () => 'v', { ...options, loaderTimeoutMs: 30_000 })).toBe('v');
  });
});

it('loads of two processes that ask for each other end with loaderTimeoutMs, and the errors name both keys', async () => {
  const [a, b] = [await bed.member(), await bed.member()];
  const [p, q] = [new HeldLoader(), new HeldLoader()];
  const options = { loaderTimeoutMs: 2_000, errorBackoffMs: 0 };
  const cross = (cache: CacheMember['cache'], source: HeldLoader, own: string, other: string): Promise<unknown> =>
    cache.getOrLoad(
      own,
      async (context) => {
        await source.load(context);
        return cache.getOrLoad<unknown>(other, never, options);
      },
      options,
    );
  const reads = [cross(a.cache, p, 'p', 'q'), cross(b.cache, q, 'q', 'p')];
  for (const source of [p, q]) (await source.run()).succeed('go on');
  const [ofP, ofQ] = await Promise.allSettled(reads);
  expect(ofP).toMatchObject({ reason: TIMEOUT });
  expect(ofQ).toMatchObject({ reason: TIMEOUT });
  // Both waited: each error names the other key. If one had ended first, the other loader would have gone on to load.
  const messages = [ofP, ofQ].map((each) => String((each as PromiseRejectedResult).reason));
  expect(messages[0]).toContain("the loader of 'p' did not finish within 2000 ms: it waits for 'q'.");
  expect(messages[1]).toMatch(/the loader of 'q' did not finish within 2000 ms: it waits for 'p'\.|waited 2000 ms/);
});

describe('a loader that asks for its own key', () => {
  /** At once: long before a time limit is over. */
  const atOnce = { loaderTimeoutMs: 600_000 };

  it('directly, also after it has waited for something else, fails at once', async () => {
    const { cache } = await bed.member();
    const own = async (): Promise<unknown> => {
      await cache.get('something else');
      return cache.getOrLoad('k', own, atOnce);
    };
    await expect(cache.getOrLoad('k', own, atOnce)).rejects.toEqual(CIRCULAR);
  });

  it('by another key fails at once', async () => {
    const { cache } = await bed.member();
    const read = (key: string, next: string): Promise<unknown> =>
      cache.getOrLoad(key, () => read(next, key), { ...atOnce, errorBackoffMs: 0 });
    await expect(read('p', 'q')).rejects.toEqual(CIRCULAR);
  });

  it('by a load that was begun by another caller fails at once', async () => {
    const { cache } = await bed.member();
    const [p, q] = [new HeldLoader(), new HeldLoader()];
    const options = { ...atOnce, errorBackoffMs: 0 };
    const cross = (source: HeldLoader, own: string, other: string): Promise<unknown> =>
      cache.getOrLoad(
        own,
        async (context) => {
          await source.load(context);
          return cache.getOrLoad<unknown>(other, never, options);
        },
        options,
      );
    const reads = [cross(p, 'p', 'q'), cross(q, 'q', 'p')];
    await Promise.all([p.run(), q.run()]);
    p.runs[0]!.succeed('p');
    q.runs[0]!.succeed('q');
    for (const result of await Promise.allSettled(reads)) expect(result).toMatchObject({ reason: CIRCULAR });
  });

  it('without Redis fails at once', async () => {
    const { cache, connections } = await bed.member();
    await connections.get().commands.close();
    const own = (): Promise<unknown> => cache.getOrLoad('k', own, atOnce);
    await expect(own()).rejects.toEqual(CIRCULAR);
  });

  it('gets the value that is there while it refreshes it', async () => {
    const { cache } = await bed.member();
    const options = { ttlMs: 1, jitter: 0, staleMs: 600_000 };
    await cache.getOrLoad('k', () => 1, options);
    const inner: unknown[] = [];
    const next = async (): Promise<number> => {
      inner.push(await cache.getOrLoad('k', () => 0, options));
      return 2;
    };
    // Until then the value is fresh: its millisecond is not over by the server's clock.
    const refreshes = async (): Promise<boolean> => {
      await cache.getOrLoad('k', next, options);
      return inner.length > 0;
    };
    await until(refreshes, { what: 'a refresh has read the value' });
    expect(inner[0]).toBe(1);
    await until(async () => (await bed.admin.get('{cache}:k'))?.endsWith('\n2'), { what: 'the refresh is stored' });
  });
});
