import { describe, expect, it } from '@jest/globals';
import { CacheBed } from '../../../test/support/cache-bed.js';
import { HeldLoader, type CacheMember } from '../../../test/support/cache-member.js';
import { until } from '../../../test/support/until.js';
import { startRedis } from '../../testing/index.js';
import type { CacheLease } from './manual-load.js';

// What is missed here is missed for ever: no need to wait for it longer.
const bed = new CacheBed();
const LEASE = '{cache}~lease:k';
const code = (name: string) => expect.objectContaining({ code: name });

type State<S extends CacheLease<unknown>['state']> = Extract<CacheLease<unknown>, { state: S }>;

async function taken<S extends CacheLease<unknown>['state']>(
  { cache }: CacheMember,
  state: S,
  options?: Parameters<CacheMember['cache']['lease']>[1],
): Promise<State<S>> {
  const lease = await cache.lease<unknown>('k', options);
  expect(lease.state).toBe(state);
  return lease as State<S>;
}

describe('lease', () => {
  it('is a load for one, a wait for the others, then a hit; and all the same to getOrLoad', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    const load = await taken(a, 'load');
    const waits = [await taken(a, 'wait'), await taken(b, 'wait')];
    const read = b.cache.getOrLoad('k', () => 'not needed');
    await bed.waiters(3);
    expect(await load.fill('v')).toBe(true);
    expect(await Promise.all(waits.map((wait) => wait.wait()))).toEqual(['v', 'v']);
    expect(await read).toBe('v');
    expect(await taken(b, 'hit')).toMatchObject({ value: 'v' });
    expect(await bed.admin.exists(LEASE)).toBe(0);
    expect(await load.fill('again')).toBe(false);
    expect(await a.cache.get('k')).toBe('v');
  });

  it('lasts until it is ended, and aborts when it is lost', async () => {
    const leaseMs = 600;
    const [a, b] = [await bed.member({ leaseMs }), await bed.member()];
    const load = await taken(a, 'load');
    const from = performance.now();
    await until(() => performance.now() - from > 3 * leaseMs, { what: 'three leases have passed' });
    await taken(b, 'wait');
    await b.cache.delete('k');
    await until(() => load.signal.aborted, { what: 'it is told' });
    expect(load.signal.reason).toEqual(code('SLUICE_CACHE_LEASE_LOST'));
    expect(await load.fill('old')).toBe(false);
    expect(await b.cache.get('k')).toBe(undefined);
  });

  it('that fails, or is left without an end, tells who waits and backs off', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    for (const end of ['fail', 'leave'] as const) {
      const load = await taken(a, 'load');
      const wait = await taken(b, 'wait');
      if (end === 'fail') await load.fail(new RangeError('down'));
      else await load[Symbol.asyncDispose]();
      await expect(wait.wait()).rejects.toEqual(code('SLUICE_CACHE_LOADER_FAILED'));
      await expect(b.cache.lease('k')).rejects.toMatchObject({
        loader: { name: end === 'fail' ? 'RangeError' : 'SluiceError' },
      });
      await b.cache.delete('k');
    }
    const load = await taken(a, 'load');
    await load.fill('v');
    await load[Symbol.asyncDispose]();
    expect(await b.cache.get('k')).toBe('v');
  });

  it('that is filled with what is no data fails, for everybody', async () => {
    const [a, b] = [await bed.member({ leaseMs: 60_000 }), await bed.member()];
    const load = await taken(a, 'load');
    const wait = await taken(b, 'wait');
    await expect(load.fill(() => 'v')).rejects.toEqual(code('SLUICE_CACHE_UNSERIALIZABLE'));
    await expect(wait.wait()).rejects.toMatchObject({ loader: { code: 'SLUICE_CACHE_UNSERIALIZABLE' } });
    await expect(a.cache.lease('k')).rejects.toEqual(code('SLUICE_CACHE_UNSERIALIZABLE'));
    await expect(b.cache.lease('k')).rejects.toEqual(code('SLUICE_CACHE_LOADER_FAILED'));
  });

  it('that outruns its time is passed on', async () => {
    // Nobody waits for the lease to expire.
    const [a, b] = [await bed.member({ leaseMs: 60_000 }), await bed.member({ leaseMs: 60_000 })];
    const load = await taken(a, 'load', { loaderTimeoutMs: 50 });
    const source = new HeldLoader();
    const read = b.cache.getOrLoad('k', source.load);
    (await source.run()).succeed('v');
    expect(await read).toBe('v');
    expect(load.signal.reason).toEqual(code('SLUICE_CACHE_LOADER_TIMEOUT'));
    expect(await load.fill('late')).toBe(false);
  });

  it('who waits and finds that nobody loads any more is told', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    await taken(a, 'load');
    const wait = await taken(b, 'wait');
    await bed.admin.del(LEASE);
    await a.cache.delete('k');
    await bed.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await expect(wait.wait()).rejects.toEqual(code('SLUICE_CACHE_LEASE_FREE'));
    await until(async () => (await bed.admin.exists(LEASE)) === 0, { what: 'the lease is given back' });
  });

  it('notes the tags and the time of its value', async () => {
    const { cache } = await bed.member();
    const lease = await cache.lease<string>('k', { tags: ['a'], resultTags: (v) => [v], ttlMs: 5_000 });
    if (lease.state !== 'load') throw new Error(lease.state);
    await cache.invalidateTags('v');
    expect(await lease.fill('v')).toBe(false);
    const again = await cache.lease<string>('k', { tags: ['a'], resultTags: (v) => [v], ttlMs: 5_000 });
    if (again.state !== 'load') throw new Error(again.state);
    expect(await again.fill('v')).toBe(true);
    expect(await bed.admin.pttl('{cache}:k')).toBeLessThanOrEqual(5_000);
    await cache.invalidateTags('a');
    expect(await cache.get('k')).toBe(undefined);
  });

  it('without Redis is a load whose value is not stored, or the error', async () => {
    const redis = await startRedis();
    const member = await bed.member({ redis: { url: redis.url } });
    await redis.stop();
    const load = await taken(member, 'load');
    expect(await load.fill('v')).toBe(false);
    await expect(member.cache.lease('k', { onBackendDown: 'throw' })).rejects.toEqual(code('SLUICE_REDIS_UNAVAILABLE'));
  });

  it('refuses options that mean nothing to it', async () => {
    const { cache } = await bed.member();
    await expect(cache.lease('k', { earlyRefresh: 1 } as object)).rejects.toEqual(code('SLUICE_BAD_OPTION'));
  });

  it('takes a slot at a limited source, as a loader does, and gives it to the next', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    const options = { source: 'db', maxConcurrentLoads: 1 };
    const first = await taken(a, 'load', options);
    let second: CacheLease<unknown> | undefined;
    const asked = b.cache.lease('other', options).then((lease) => (second = lease));
    await until(async () => (await bed.admin.zcard('{cache}~queue:db')) === 1, { what: 'the second waits for a slot' });
    expect(second).toBe(undefined);
    await first.fill('v');
    expect((await asked).state).toBe('load');
    await asked.then((lease) => lease[Symbol.asyncDispose]());
    await until(async () => (await bed.admin.zcard('{cache}~slots:db')) === 0, { what: 'the slots are free' });
  });

  it('waits for a refresh that runs for as long as softTimeoutMs allows', async () => {
    const [a, b] = [await bed.member(), await bed.member()];
    const options = { ttlMs: 1, jitter: 0, staleMs: 60_000, softTimeoutMs: 60_000 };
    await a.cache.set('k', 'old', { ttlMs: 1, jitter: 0, staleMs: 60_000 });
    await until(async () => (await a.cache.get('k')) === undefined, { what: 'the value is stale' });
    const load = await taken(a, 'load', options);
    const asked = b.cache.lease('k', options);
    await bed.waiters(1);
    await load.fill('new');
    expect(await asked).toMatchObject({ state: 'hit', value: 'new' });
  });

  it('finds, and keeps, copies of this process', async () => {
    const member = await bed.member({ local: true });
    await member.cache.set('k', 'v');
    const readLocally = async (): Promise<boolean> => {
      expect(await taken(member, 'hit')).toMatchObject({ value: 'v' });
      return (member.cache.stats().methods['lease']?.hits.local ?? 0) > 0;
    };
    await until(readLocally, { what: 'a copy is found' });
  });
});
