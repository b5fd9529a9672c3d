import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CacheBed } from '../../../test/support/cache-bed.js';
import { HeldLoader, type CacheMember } from '../../../test/support/cache-member.js';
import { until } from '../../../test/support/until.js';
import type { CacheService } from '../cache.service.js';
import { FaultProxy } from '../../testing/index.js';

// What is missed here is missed for ever: no need to wait for it longer.
const bed = new CacheBed();
let proxy: FaultProxy;
beforeEach(async () => {
  proxy = await FaultProxy.to(bed.redis.port);
});
afterEach(() => proxy.close());

const code = (name: string) => expect.objectContaining({ code: name });

const invalidations: [string, (cache: CacheService) => Promise<unknown>][] = [
  ['invalidateTags', (cache) => cache.invalidateTags('a')],
  ['clear', (cache) => cache.clear()],
];

/** As if an invalidation were told of, with a number that follows none. */
function announce({ connections }: CacheMember, ...news: string[]): Promise<number> {
  const frame = ['cache:invalidated', '?', ...news].map((part) => `${part.length}:${part}`).join('');
  return bed.admin.publish(connections.get().channel('cache'), frame);
}

describe.each(invalidations)('%s tells a loader that runs', (verb, invalidate) => {
  const tagged = { tags: ['b', 'a'] };
  /** That only what is tested can tell it. */
  const leaseMs = 600_000;

  it.each([
    ['at once, of the process that invalidates', { leaseMs }, true],
    ['at once, of another process with a local tier', { leaseMs, local: {} }, false],
    ['with its next renewal otherwise', { leaseMs: 200 }, false],
  ])('%s', async (_when, options, mine) => {
    const [a, b] = [await bed.member(options), await bed.member()];
    const source = new HeldLoader();
    const call = a.cache.getOrLoad(
      'k',
      (context) =>
        new Promise((resolve, reject) => {
          void source.load(context).then(resolve);
          context.signal.addEventListener('abort', () => {
            reject(context.signal.reason as Error);
          });
        }),
      tagged,
    );
    const joined = a.cache.getOrLoad('k', source.load, tagged);
    const run = await source.run();
    const elsewhere = b.cache.getOrLoad('k', source.load, tagged);
    await bed.waiters(1);
    await invalidate((mine ? a : b).cache);
    // Whoever called the loader, joined it or waits for it asks again, and one of them loads.
    (await source.run(2)).succeed('new');
    await until(() => run.context.signal.aborted, { what: 'it is told', everyMs: 2 });
    expect(run.context.signal.reason).toEqual(code('SLUICE_CACHE_LEASE_LOST'));
    expect(await Promise.all([call, joined, elsewhere])).toEqual(['new', 'new', 'new']);
    expect(source.runs).toHaveLength(2);
    expect(await b.cache.get('k')).toBe('new');
  });

  it('also while a renewal is on its way, which may be older', async () => {
    const [a, b] = [await bed.member({ redis: { url: proxy.url }, leaseMs, local: {} }), await bed.member()];
    const source = new HeldLoader();
    const call = a.cache.getOrLoad('k', source.load, tagged);
    const run = await source.run();
    proxy.hold();
    expect(await announce(a, 'tag', 'a')).toBe(1);
    await until(() => proxy.held !== '', { what: 'it was renewed', everyMs: 2 });
    const before = proxy.heard;
    await invalidate(b.cache);
    await until(() => proxy.heard > before, { what: 'the process hears of it', everyMs: 2 });
    await b.cache.get('other');
    expect(run.context.signal.aborted).toBe(false);
    proxy.release();
    await until(() => run.context.signal.aborted, { what: 'it is told', everyMs: 2 });
    run.succeed('old');
    await call;
  });

  it('a loader by hand as well', async () => {
    const { cache } = await bed.member({ leaseMs });
    const lease = await cache.lease('k', tagged);
    if (lease.state !== 'load') throw new Error(lease.state);
    await invalidate(cache);
    await until(() => lease.signal.aborted, { what: 'it is told', everyMs: 2 });
    expect(await lease.fill('old')).toBe(false);
  });

  it('not one that began after, though the news of it comes later, nor one with other tags', async () => {
    const a = await bed.member({ leaseMs, local: {} });
    const { cache } = a;
    await invalidate(cache);
    const source = new HeldLoader();
    const calls = [cache.getOrLoad('k', source.load, tagged), cache.getOrLoad('l', source.load, { tags: ['c'] })];
    const runs = [await source.run(), await source.run(2)];
    const [k, l] = ['{cache}~lease:k', '{cache}~lease:l'];
    for (const key of [k, l]) await bed.admin.pexpire(key, 50_000);
    expect(await announce(a, ...(verb === 'clear' ? ['all'] : ['tag', 'a']))).toBe(1);
    await until(async () => (await bed.admin.pttl(k)) > 50_000, {
      what: 'it has asked whether it is void',
      everyMs: 2,
    });
    expect((await bed.admin.pttl(l)) > 50_000).toBe(verb === 'clear');
    for (const run of runs) {
      expect(run.context.signal.aborted).toBe(false);
      run.succeed('v');
    }
    await Promise.all(calls);
    expect(await Promise.all(['k', 'l'].map((key) => cache.get(key)))).toEqual(['v', 'v']);
  });
});
