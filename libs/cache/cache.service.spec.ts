import { describe, expect, it } from '@jest/globals';
import { runInThisContext } from 'node:vm';
import { CacheBed, keysLeft } from '../../test/support/cache-bed.js';
import { HeldLoader, type CacheMember } from '../../test/support/cache-member.js';
import { commandDelta } from '../../test/support/command-delta.js';
import { until } from '../../test/support/until.js';

// What is missed here is missed for ever: no need to wait for it longer.
const bed = new CacheBed();
const LEASE = '{cache}~lease:k';
const code = (name: string) => expect.objectContaining({ code: name });

/** JavaScript may throw anything. */
const throwsText = runInThisContext("() => { throw 'text'; }") as () => unknown;

describe('getOrLoad', () => {
  it('loads a cold key once for all processes, and gives each caller a value of its own', async () => {
    const fleet = [await bed.member(), await bed.member(), await bed.member()];
    const source = new HeldLoader();
    const calls = Array.from({ length: 60 }, (_, i) => fleet[i % 3]!.cache.getOrLoad('k', source.load));
    await bed.waiters(2);
    const original = { at: new Date(5), tags: new Set(['a']), none: undefined };
    (await source.run()).succeed(original);
    const values = await Promise.all(calls);
    expect(source.runs).toHaveLength(1);
    for (const value of values) expect(value).toStrictEqual(original);
    expect(new Set([original, ...values]).size).toBe(61);
    expect(await fleet[0]!.cache.get('k')).toStrictEqual(original);
  });

  it('takes one command for a hit, two for a load, one for each waiting process', async () => {
    const fleet = [await bed.member(), await bed.member(), await bed.member()];
    const source = new HeldLoader();
    await fleet[0]!.cache.getOrLoad('other', () => 'so that the scripts are known');
    await bed.admin.flushdb();
    const cold = await commandDelta(bed.admin, async () => {
      const calls = fleet.flatMap(({ cache }) => Array.from({ length: 10 }, () => cache.getOrLoad('k', source.load)));
      const run = await source.run();
      run.succeed('v');
      await Promise.all(calls);
    });
    expect(cold.calls['evalsha']).toBe(4);
    const hit = await commandDelta(bed.admin, () => fleet[0]!.cache.getOrLoad('k', source.load));
    delete hit.calls['ping'];
    expect(hit.calls).toEqual({ mget: 1 });
    const elsewhere = await bed.member();
    const first = await commandDelta(bed.admin, () => elsewhere.cache.getOrLoad('k', source.load));
    delete first.calls['ping'];
    expect(first.calls).toEqual({ evalsha: 1, get: 2, time: 1 });
    expect(await keysLeft(bed.admin)).toEqual(['{cache}:k']);
    expect(await bed.admin.pttl('{cache}:k')).toBeGreaterThan(50_000);
  });

  it('loads once again for all when a value that everybody reads has expired', async () => {
    const fleet = [await bed.member(), await bed.member()];
    const source = new HeldLoader();
    await fleet[0]!.cache.set('k', 'old');
    for (const { cache } of fleet) expect(await cache.getOrLoad('k', source.load)).toBe('old');
    await bed.admin.pexpire('{cache}:k', 1);
    await until(async () => (await bed.admin.exists('{cache}:k')) === 0, { what: 'it expires', everyMs: 5 });
    const calls = fleet.flatMap(({ cache }) => [cache.getOrLoad('k', source.load), cache.getOrLoad('k', source.load)]);
    await bed.waiters(1);
    (await source.run()).succeed('new');
    expect(await Promise.all(calls)).toEqual(Array(4).fill('new'));
    expect(source.runs).toHaveLength(1);
  });

  it('keeps null and undefined, for their own time', async () => {
    const { cache } = await bed.member();
    const source = new HeldLoader();
    for (const [i, nothing] of [null, undefined].entries()) {
      const call = cache.getOrLoad(`k${i}`, source.load, { ttlMs: 50_000, negativeTtlMs: 1_000 });
      (await source.run(i + 1)).succeed(nothing);
      expect(await call).toBe(nothing);
      expect(await cache.getOrLoad(`k${i}`, source.load)).toBe(nothing);
      expect(await bed.admin.pttl(`{cache}:k${i}`)).toBeLessThanOrEqual(1_000);
    }
    expect(source.runs).toHaveLength(2);
    expect(await cache.get('k0')).toBe(null);
    expect(await cache.get('missing')).toBe(undefined);
  });

  it('lets a load outlast its lease many times over', async () => {
    const leaseMs = 600;
    const [a, b] = [await bed.member({ leaseMs }), await bed.member({ leaseMs })];
    const source = new HeldLoader();
    const calls = [a.cache.getOrLoad('k', source.load), b.cache.getOrLoad('k', source.load)];
    const run = await source.run();
    const started = performance.now();
    await until(() => performance.now() - started > 3 * leaseMs, { what: 'three leases have passed' });
    expect(await bed.admin.exists(LEASE)).toBe(1);
    run.succeed(1);
    expect(await Promise.all(calls)).toEqual([1, 1]);
    expect(source.runs).toHaveLength(1);
    expect(run.context.signal.aborted).toBe(false);
  });

  it('takes broken bytes for a miss, and puts them out of the way', async () => {
    const { cache } = await bed.member({ local: false });
    await cache.set('k', 1);
    const header = /^.*\n/.exec((await bed.admin.get('{cache}:k'))!)![0];
    const deep = `${header}${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    for (const bytes of [
      '{',
      '~9[]',
      Buffer.from([0xff, 0xfe]),
      '^1 broken',
      `${header}{`,
      `${header}~9[]`,
      header,
      deep,
    ]) {
      await bed.admin.set('{cache}:k', bytes);
      expect(await cache.get('k')).toBe(undefined);
      expect(await cache.getOrLoad('k', () => 'fresh')).toBe('fresh');
      expect(await bed.admin.get('{cache}:k')).toMatch(/^\^1 .*\n"fresh"$/);
    }
  });

  it.each<[string, (cache: CacheMember['cache']) => Promise<unknown>, string]>([
    ['set', (cache) => cache.set('user:1', { f: () => 1 }), "cache key 'user:1': the value's .f is a function"],
    [
      'a loader',
      (cache) => cache.getOrLoad('user:1', () => ({ f: () => 1 }), { source: 'users' }),
      "cache key 'user:1' of users: the value's .f is a function",
    ],
  ])('names the key and the source of a value that is not data: %s', async (_what, call, message) => {
    const { cache } = await bed.member();
    await expect(call(cache)).rejects.toMatchObject({
      code: 'SLUICE_CACHE_UNSERIALIZABLE',
      message: expect.stringContaining(message),
    });
  });

  it('names the first wrong argument of set', async () => {
    const { cache } = await bed.member();
    await expect(cache.set('', () => 1, 5 as never)).rejects.toEqual(code('SLUICE_BAD_NAME'));
  });

  it.each<[string, (cache: CacheMember['cache']) => Promise<unknown>, string]>([
    ['an empty key', (cache) => cache.getOrLoad('', () => 1), 'SLUICE_BAD_NAME'],
    ['no key', (cache) => cache.getOrLoad(undefined as never, () => 1), 'SLUICE_BAD_NAME'],
    ['an empty key to get', (cache) => cache.get(''), 'SLUICE_BAD_NAME'],
    ['an empty key to set', (cache) => cache.set('', 1), 'SLUICE_BAD_NAME'],
    ['an empty key to delete', (cache) => cache.delete(''), 'SLUICE_BAD_NAME'],
    ['ttl 0', (cache) => cache.getOrLoad('k', () => 1, { ttlMs: 0 }), 'SLUICE_BAD_OPTION'],
    ['ttl NaN', (cache) => cache.set('k', 1, { ttlMs: NaN }), 'SLUICE_BAD_OPTION'],
    ['a ttl in words', (cache) => cache.set('k', 1, { ttlMs: '1m' as never }), 'SLUICE_BAD_OPTION'],
    ['an unknown option', (cache) => cache.getOrLoad('k', () => 1, { ttl: 5 } as never), 'SLUICE_BAD_OPTION'],
    ['a function to set', (cache) => cache.set('k', () => 1), 'SLUICE_CACHE_UNSERIALIZABLE'],
  ])('refuses %s', async (_what, call, expected) => {
    const { cache } = await bed.member();
    await expect(call(cache)).rejects.toEqual(code(expected));
    expect(await keysLeft(bed.admin)).toEqual([]);
  });
});

describe('a loader that fails', () => {
  it('is tried once per back-off by the fleet; who waits gets its error, its own callers as it was thrown', async () => {
    const [a, b, c] = [await bed.member(), await bed.member(), await bed.member()];
    const source = new HeldLoader();
    const options = { errorBackoffMs: 300 };
    const own = [a.cache.getOrLoad('k', source.load, options), a.cache.getOrLoad('k', source.load, options)];
    const run = await source.run();
    const waiting = b.cache.getOrLoad('k', source.load, options);
    await bed.waiters(1);
    const error = Object.assign(new RangeError('down'), { code: 'E_DOWN' });
    run.fail(error);
    const elsewhere = {
      code: 'SLUICE_CACHE_LOADER_FAILED',
      loader: { name: 'RangeError', message: 'down', code: 'E_DOWN' },
      message: "the loader of 'k' failed: RangeError: down",
    };
    await expect(own[0]).rejects.toBe(error);
    await expect(own[1]).rejects.toBe(error);
    await expect(waiting).rejects.toMatchObject({ ...elsewhere, retryAfterMs: 300 });
    // In the process that ran the loader, the back-off answers with the very error.
    await expect(a.cache.getOrLoad('k', source.load, options)).rejects.toBe(error);
    for (const { cache } of [b, c]) {
      const refused: unknown = await cache.getOrLoad('k', source.load, options).catch((thrown: unknown) => thrown);
      expect(refused).toMatchObject(elsewhere);
      expect((refused as { retryAfterMs: number }).retryAfterMs).toBeLessThanOrEqual(300);
    }
    expect(source.runs).toHaveLength(1);
    await until(async () => (await bed.admin.exists(LEASE)) === 0, { what: 'the back-off ends' });
    const next = c.cache.getOrLoad('k', source.load);
    (await source.run(2)).succeed('up');
    expect(await next).toBe('up');
  });

  it.each<[string, () => unknown]>([
    [
      'throws at once',
      () => {
        throw new Error('at once');
      },
    ],
    ['throws no Error', throwsText],
    ['returns what cannot be kept', () => ({ run: () => 1 })],
  ])('may be one that %s', async (_what, loader) => {
    const [a, b] = [await bed.member(), await bed.member()];
    const thrown: unknown = await a.cache.getOrLoad('k', loader).catch((error: unknown) => error);
    const told: unknown = await b.cache.getOrLoad('k', loader).catch((error: unknown) => error);
    expect(told).toMatchObject({
      code: 'SLUICE_CACHE_LOADER_FAILED',
      loader: thrown instanceof Error ? { name: thrown.name, message: thrown.message } : { message: 'text' },
    });
  });

  it.each([
    ['an object without a prototype', Object.create(null) as unknown],
    ['an error without a message', Object.assign(new Error(), { message: undefined })],
    ['an error with a name that is none', Object.assign(new Error('x'), { name: 1n })],
  ])('with %s: its caller gets that, and the fleet some description', async (_what, thrown) => {
    const [{ cache }, other] = [await bed.member(), await bed.member()];
    const call = cache.getOrLoad('k', () => {
      throw thrown;
    });
    await expect(call.catch((error: unknown) => error === thrown)).resolves.toBe(true);
    await expect(cache.getOrLoad('k', () => 'v').catch((error: unknown) => error === thrown)).resolves.toBe(true);
    await expect(other.cache.getOrLoad('k', () => 'v')).rejects.toEqual(code('SLUICE_CACHE_LOADER_FAILED'));
  });

  it('is told to stop and replaced when it outruns its time', async () => {
    // Nobody waits for the lease to expire.
    const [a, b] = [await bed.member({ leaseMs: 60_000 }), await bed.member({ leaseMs: 60_000 })];
    const source = new HeldLoader();
    const own = a.cache.getOrLoad('k', source.load, { loaderTimeoutMs: 150 });
    const slow = await source.run();
    const elsewhere = b.cache.getOrLoad('k', source.load);
    await bed.waiters(1);
    await expect(own).rejects.toEqual(code('SLUICE_CACHE_LOADER_TIMEOUT'));
    expect(slow.context.signal.reason).toEqual(code('SLUICE_CACHE_LOADER_TIMEOUT'));
    const next = await source.run(2);
    slow.succeed('late');
    next.succeed('next');
    expect(await elsewhere).toBe('next');
    expect(await a.cache.getOrLoad('k', source.load)).toBe('next');
    expect(source.runs).toHaveLength(2);
  });

  it('is reported as out of time though it rejects when it is told to stop', async () => {
    const { cache } = await bed.member();
    const call = cache.getOrLoad(
      'k',
      ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            reject(new Error('stopped'));
          });
        }),
      { loaderTimeoutMs: 20 },
    );
    await expect(call).rejects.toEqual(code('SLUICE_CACHE_LOADER_TIMEOUT'));
  });
});

describe('takeover', () => {
  it('gives an expired lease to exactly one of those who wait, whatever number', async () => {
    const dead = await bed.member({ local: false });
    const fleet = [await bed.listening(), await bed.listening(), await bed.listening()];
    const source = new HeldLoader();
    const own = dead.cache.getOrLoad('k', source.load);
    const run = await source.run();
    const lease = await bed.admin.hgetall(LEASE);
    run.succeed('gone');
    await own;
    // A lease that nobody renews is all that remains of a killed process.
    await bed.admin.del('{cache}:k');
    await bed.admin.hset(LEASE, lease);
    await bed.admin.pexpire(LEASE, 1_000);
    const calls = fleet.flatMap(({ cache }) => Array.from({ length: 5 }, () => cache.getOrLoad('k', source.load)));
    await bed.waiters(fleet.length);
    (await source.run(2)).succeed('v');
    expect(await Promise.all(calls)).toEqual(Array(15).fill('v'));
    expect(await dead.cache.getOrLoad('k', source.load)).toBe('v');
    expect(source.runs).toHaveLength(2);
  });

  it('tells a load that lost its lease, whose value is not stored', async () => {
    const [a, b] = [await bed.member({ leaseMs: 100 }), await bed.member({ leaseMs: 100 })];
    const source = new HeldLoader();
    const early = a.cache.getOrLoad('k', source.load);
    const lost = await source.run();
    // As an expiry that this process slept through.
    await bed.admin.del(LEASE);
    const taker = b.cache.getOrLoad('k', source.load);
    const taken = await source.run(2);
    await until(() => lost.context.signal.aborted, { what: 'the loader is told' });
    expect(lost.context.signal.reason).toEqual(code('SLUICE_CACHE_LEASE_LOST'));
    lost.succeed('old');
    // It asked before that load began, so it may have its value.
    expect(await early).toBe('old');
    expect(await b.cache.get('k')).toBe(undefined);
    taken.succeed('new');
    expect(await taker).toBe('new');
    expect(await a.cache.getOrLoad('k', source.load)).toBe('new');
  });
});
