import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { runInThisContext } from 'node:vm';
import { Redis } from 'ioredis';
import { cacheMember, HeldLoader, type CacheMember, type CacheMemberOptions } from '../../test/support/cache-member.js';
import { commandDelta } from '../../test/support/command-delta.js';
import { until } from '../../test/support/until.js';
import { startRedis, type RedisServer } from '../testing/index.js';

let redis: RedisServer;
let admin: Redis;
const members: CacheMember[] = [];
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});
beforeEach(() => admin.flushall());
afterEach(async () => {
  await Promise.all(members.splice(0).map((member) => member.close()));
});

/** Another process, as far as the cache can tell. */
async function member(options: Partial<CacheMemberOptions> = {}): Promise<CacheMember> {
  const made = await cacheMember({ redis: { url: redis.url }, ...options });
  members.push(made);
  return made;
}
const LEASE = '{cache}~lease:k';
const waitersOf = async (lease = LEASE): Promise<number> =>
  (await admin.hkeys(lease)).filter((field) => field.startsWith('w:')).length;
const waiters = (count: number): Promise<boolean> =>
  until(async () => (await waitersOf()) === count, { what: `${count} wait`, everyMs: 2 });
const code = (name: string) => expect.objectContaining({ code: name });

describe('getOrLoad', () => {
  it('loads a cold key once for all processes, and gives each caller a value of its own', async () => {
    const fleet = [await member(), await member(), await member()];
    const source = new HeldLoader();
    const calls = Array.from({ length: 60 }, (_, i) => fleet[i % 3]!.cache.getOrLoad('k', source.load));
    await waiters(2);
    const original = { at: new Date(5), tags: new Set(['a']), none: undefined };
    (await source.run()).succeed(original);
    const values = await Promise.all(calls);
    expect(source.runs).toHaveLength(1);
    for (const value of values) expect(value).toStrictEqual(original);
    expect(new Set([original, ...values]).size).toBe(61);
    expect(await fleet[0]!.cache.get('k')).toStrictEqual(original);
  });

  it('takes one command for a hit, two for a load, one for each waiting process', async () => {
    const fleet = [await member(), await member(), await member()];
    const source = new HeldLoader();
    await fleet[0]!.cache.getOrLoad('other', () => 'so that the scripts are known');
    await admin.flushdb();
    const cold = await commandDelta(admin, async () => {
      const calls = fleet.flatMap(({ cache }) => Array.from({ length: 10 }, () => cache.getOrLoad('k', source.load)));
      const run = await source.run();
      run.succeed('v');
      await Promise.all(calls);
    });
    expect(cold.calls['evalsha']).toBe(4);
    const hit = await commandDelta(admin, () => fleet[0]!.cache.getOrLoad('k', source.load));
    delete hit.calls['ping'];
    expect(hit.calls).toEqual({ get: 1 });
    const elsewhere = await member();
    const first = await commandDelta(admin, () => elsewhere.cache.getOrLoad('k', source.load));
    delete first.calls['ping'];
    expect(first.calls).toEqual({ evalsha: 1, get: 1 });
    expect(await admin.keys('*')).toEqual(['{cache}:k']);
    expect(await admin.pttl('{cache}:k')).toBeGreaterThan(50_000);
  });

  it('keeps null and undefined, for their own time', async () => {
    const { cache } = await member();
    const source = new HeldLoader();
    for (const [i, nothing] of [null, undefined].entries()) {
      const call = cache.getOrLoad(`k${i}`, source.load, { ttlMs: 50_000, negativeTtlMs: 1_000 });
      (await source.run(i + 1)).succeed(nothing);
      expect(await call).toBe(nothing);
      expect(await cache.getOrLoad(`k${i}`, source.load)).toBe(nothing);
      expect(await admin.pttl(`{cache}:k${i}`)).toBeLessThanOrEqual(1_000);
    }
    expect(source.runs).toHaveLength(2);
    expect(await cache.get('k0')).toBe(null);
    expect(await cache.get('missing')).toBe(undefined);
  });

  it('lets a load outlast its lease many times over', async () => {
    const [a, b] = [await member({ leaseMs: 90 }), await member({ leaseMs: 90 })];
    const source = new HeldLoader();
    const calls = [a.cache.getOrLoad('k', source.load), b.cache.getOrLoad('k', source.load)];
    const run = await source.run();
    const started = performance.now();
    await until(() => performance.now() - started > 400, { what: 'four leases have passed' });
    expect(await admin.exists(LEASE)).toBe(1);
    run.succeed(1);
    expect(await Promise.all(calls)).toEqual([1, 1]);
    expect(source.runs).toHaveLength(1);
    expect(run.context.signal.aborted).toBe(false);
  });

  it('takes broken bytes for a miss, and puts them out of the way', async () => {
    const { cache } = await member();
    for (const bytes of ['{', '~9[]', Buffer.from([0xff, 0xfe])]) {
      await admin.set('{cache}:k', bytes);
      expect(await cache.get('k')).toBe(undefined);
      expect(await cache.getOrLoad('k', () => 'fresh')).toBe('fresh');
      expect(await admin.get('{cache}:k')).toBe('"fresh"');
    }
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
    const { cache } = await member();
    await expect(call(cache)).rejects.toEqual(code(expected));
    expect(await admin.keys('*')).toEqual([]);
  });
});

/** JavaScript may throw anything. */
const throwsText = runInThisContext("() => { throw 'text'; }") as () => unknown;

describe('a loader that fails', () => {
  it('is tried once per back-off by the fleet; who waits gets its error, its own callers as it was thrown', async () => {
    const [a, b, c] = [await member(), await member(), await member()];
    const source = new HeldLoader();
    const options = { errorBackoffMs: 300 };
    const own = [a.cache.getOrLoad('k', source.load, options), a.cache.getOrLoad('k', source.load, options)];
    const run = await source.run();
    const waiting = b.cache.getOrLoad('k', source.load, options);
    await waiters(1);
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
    for (const { cache } of [a, b, c]) {
      const refused: unknown = await cache.getOrLoad('k', source.load, options).catch((thrown: unknown) => thrown);
      expect(refused).toMatchObject(elsewhere);
      expect((refused as { retryAfterMs: number }).retryAfterMs).toBeLessThanOrEqual(300);
    }
    expect(source.runs).toHaveLength(1);
    await until(async () => (await admin.exists(LEASE)) === 0, { what: 'the back-off ends' });
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
    const [a, b] = [await member(), await member()];
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
    const { cache } = await member();
    const call = cache.getOrLoad('k', () => {
      throw thrown;
    });
    await expect(call.catch((error: unknown) => error === thrown)).resolves.toBe(true);
    await expect(cache.getOrLoad('k', () => 'v')).rejects.toEqual(code('SLUICE_CACHE_LOADER_FAILED'));
  });

  it('is told to stop and replaced when it outruns its time', async () => {
    const [a, b] = [await member(), await member()];
    const source = new HeldLoader();
    const own = a.cache.getOrLoad('k', source.load, { loaderTimeoutMs: 150 });
    const slow = await source.run();
    const elsewhere = b.cache.getOrLoad('k', source.load);
    await waiters(1);
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
    const { cache } = await member();
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
    const [dead, ...fleet] = [await member(), await member(), await member(), await member()];
    const source = new HeldLoader();
    // A lease that nobody renews is all that remains of a killed process.
    await admin.hset(LEASE, 'token', 'gone', 'owner', 'nobody');
    await admin.pexpire(LEASE, 150);
    const calls = fleet.flatMap(({ cache }) => Array.from({ length: 5 }, () => cache.getOrLoad('k', source.load)));
    (await source.run()).succeed('v');
    expect(await Promise.all(calls)).toEqual(Array(15).fill('v'));
    expect(await dead.cache.getOrLoad('k', source.load)).toBe('v');
    expect(source.runs).toHaveLength(1);
  });

  it('tells a load that lost its lease, whose value is not stored', async () => {
    const [a, b] = [await member({ leaseMs: 100 }), await member({ leaseMs: 100 })];
    const source = new HeldLoader();
    const early = a.cache.getOrLoad('k', source.load);
    const lost = await source.run();
    // As an expiry that this process slept through.
    await admin.del(LEASE);
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

describe('delete and set during a load', () => {
  it.each(['delete', 'set'] as const)(
    '%s: what it loaded is never stored, by whomever it was invalidated',
    async (verb) => {
      for (const mine of [true, false]) {
        const [a, b] = [await member(), await member()];
        const source = new HeldLoader();
        const [leader, late] = [a.cache.getOrLoad('k', source.load), a.cache.getOrLoad('k', source.load)];
        const run = await source.run();
        const joined = a.cache.getOrLoad('k', source.load);
        const by = mine ? a.cache : b.cache;
        await (verb === 'delete' ? by.delete('k') : by.set('k', 'set'));
        run.succeed('old');
        expect(await leader).toBe('old');
        expect(await late).toBe('old');
        if (verb === 'delete') {
          expect(await a.cache.get('k')).toBe(undefined);
          (await source.run(2)).succeed('new');
        }
        const expected = verb === 'delete' ? 'new' : 'set';
        // It joined a load that was under way: it cannot know that it asked before the invalidation.
        expect(await joined).toBe(expected);
        expect(await b.cache.getOrLoad('k', source.load)).toBe(expected);
        await admin.flushall();
      }
    },
  );

  it.each(['the same process', 'another process'])('readers that come after it, in %s, do not join', async (where) => {
    const [a, b] = [await member(), await member()];
    const source = new HeldLoader();
    const before = a.cache.getOrLoad('k', source.load);
    const old = await source.run();
    await (where === 'another process' ? b : a).cache.delete('k');
    if (where === 'another process') await until(() => old.context.signal.aborted, { what: 'it is told' });
    const after = a.cache.getOrLoad('k', source.load);
    (await source.run(2)).succeed('new');
    expect(await after).toBe('new');
    old.succeed('old');
    expect(await before).toBe('old');
    expect(await a.cache.get('k')).toBe('new');
  });

  it('calls a loader off that listens, serves its callers from the next load, and calls that one off no more', async () => {
    const [a, b] = [await member(), await member()];
    const source = new HeldLoader();
    const call = a.cache.getOrLoad('k', ({ key, signal }) => {
      const held = source.load({ key, signal });
      return Promise.race([
        held,
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            reject(signal.reason as Error);
          });
        }),
      ]);
    });
    await source.run();
    await b.cache.delete('k');
    const second = await source.run(2);
    await b.cache.delete('k');
    const other = b.cache.getOrLoad('k', source.load);
    const third = await source.run(3);
    second.succeed('second');
    expect(await call).toBe('second');
    expect(second.context.signal.aborted).toBe(false);
    third.succeed('third');
    expect(await other).toBe('third');
    expect(await a.cache.get('k')).toBe('third');
  });

  it('sends those who wait elsewhere back to ask', async () => {
    const [a, b, c] = [await member(), await member(), await member()];
    const source = new HeldLoader();
    const own = a.cache.getOrLoad('k', source.load);
    const old = await source.run();
    const waiting = b.cache.getOrLoad('k', source.load);
    await waiters(1);
    await c.cache.delete('k');
    (await source.run(2)).succeed('new');
    expect(await waiting).toBe('new');
    old.succeed('old');
    expect(await own).toBe('old');
    expect(await c.cache.get('k')).toBe('new');
  });

  it('is seen by a load whose grant is still on its way', async () => {
    const [a, b] = [await member(), await member()];
    const replies = a.connections.get().commands.client.stream;
    replies.pause();
    const source = new HeldLoader();
    const call = a.cache.getOrLoad('k', source.load);
    await until(() => admin.exists(LEASE), { what: 'the load is granted' });
    await b.cache.delete('k');
    // The push is sent before the reply to PUBLISH is, and reaches another socket: give it its turn.
    await admin.ping();
    await new Promise(setImmediate);
    replies.resume();
    (await source.run()).succeed('v');
    expect(await call).toBe('v');
    expect(await b.cache.get('k')).toBe('v');
  });
});

describe('messages', () => {
  it('that got lost are made up for after a re-subscribe', async () => {
    const [a, b] = [await member({ leaseMs: 20_000 }), await member({ leaseMs: 20_000 })];
    const source = new HeldLoader();
    const own = a.cache.getOrLoad('k', source.load);
    const run = await source.run();
    const waiting = b.cache.getOrLoad('k', source.load);
    await waiters(1);
    // As if the push were lost: no process has an inbox of that name.
    const field = (await admin.hkeys(LEASE)).find((name) => name.startsWith('w:'))!;
    await admin.hset(LEASE, field, 'nobody');
    run.succeed('v');
    await own;
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    expect(await waiting).toBe('v');
  });

  it('to a request that is over reach no later one of the same key', async () => {
    const [a, b] = [await member(), await member()];
    const source = new HeldLoader();
    const own = a.cache.getOrLoad('k', source.load);
    const first = await source.run();
    const waiting = b.cache.getOrLoad('k', source.load);
    await waiters(1);
    const token = (await admin.hkeys(LEASE)).find((name) => name.startsWith('w:'))!.slice(2);
    await a.cache.delete('k');
    const second = await source.run(2);
    // What a fill before the delete pushed, and the network held back.
    const inbox = b.connections.get().inbox.channel;
    const late = ['cache', 'value', token, '"old"'].map((part) => `${part.length}:${part}`).join('');
    expect(await admin.publish(inbox, late)).toBe(1);
    await b.cache.get('other');
    second.succeed('new');
    expect(await waiting).toBe('new');
    first.succeed('old');
    await own;
  });

  it('about a load that began long ago serve no caller who came late', async () => {
    let skewMs = 0;
    const { systemClock } = await import('../redis/index.js');
    const clock = { ...systemClock, monoMs: () => systemClock.monoMs() + skewMs };
    const [a, b] = [await member(), await member({ clock })];
    const source = new HeldLoader();
    const own = a.cache.getOrLoad('k', source.load);
    const run = await source.run();
    const early = b.cache.getOrLoad('k', source.load);
    const joined = b.cache.getOrLoad('k', source.load);
    await waiters(1);
    skewMs = 1_001;
    const late = b.cache.getOrLoad('k', source.load);
    await waiters(2);
    run.succeed('v');
    expect(await Promise.all([own, early, joined, late])).toEqual(['v', 'v', 'v', 'v']);
    expect(source.runs).toHaveLength(1);
  });
});

describe('without Redis', () => {
  let own: RedisServer;
  beforeEach(async () => {
    own = await startRedis();
  });
  afterEach(() => own.stop());

  it('reads go to the source at once, one load per process, and writes reject', async () => {
    const { cache } = await member({ redis: { url: own.url } });
    for (const key of ['k', 'l']) await cache.set(key, 'cached');
    expect(await cache.getOrLoad('l', () => 'so that it is known to have a value')).toBe('cached');
    await own.kill();
    expect(await cache.getOrLoad('l', () => 'source')).toBe('source');
    const source = new HeldLoader();
    const calls = Array.from({ length: 5 }, () => cache.getOrLoad('k', source.load));
    const run = await source.run();
    calls.push(cache.getOrLoad('k', source.load));
    run.succeed('source');
    expect(await Promise.all(calls)).toEqual(Array(6).fill('source'));
    expect(source.runs).toHaveLength(1);
    expect(await cache.get('k')).toBe(undefined);
    await expect(cache.set('k', 1)).rejects.toEqual(code('SLUICE_REDIS_UNAVAILABLE'));
    await expect(cache.delete('k')).rejects.toEqual(code('SLUICE_REDIS_UNAVAILABLE'));
    await own.restart();
    await until(
      () =>
        cache.set('other', 1).then(
          () => true,
          () => false,
        ),
      { what: 'Redis is back' },
    );
    expect(await cache.get('k')).toBe(undefined);
  });

  it('a load that ends meanwhile serves its callers', async () => {
    const { cache } = await member({ redis: { url: own.url }, readTimeoutMs: 100 });
    const source = new HeldLoader();
    const call = cache.getOrLoad('k', source.load);
    const failing = cache.getOrLoad('f', () => source.load({ key: 'f', signal: AbortSignal.abort() }));
    const runs = [await source.run(), await source.run(2)];
    own.pause();
    const error = new Error('mine');
    runs[0]!.succeed('v');
    runs[1]!.fail(error);
    expect(await call).toBe('v');
    await expect(failing).rejects.toBe(error);
    own.resume();
  });

  it('reads wait for a hung Redis no longer than told, and give back the lease that comes late', async () => {
    const { cache } = await member({ redis: { url: own.url }, readTimeoutMs: 100 });
    await cache.getOrLoad('known', () => 'so that the script is known');
    await cache.delete('known');
    await cache.getOrLoad('hot', () => 'cached');
    own.pause();
    const started = performance.now();
    expect(await cache.getOrLoad('hot', () => 'source')).toBe('source');
    expect(await cache.getOrLoad('k', () => 'source')).toBe('source');
    expect(await cache.get('k')).toBe(undefined);
    expect(performance.now() - started).toBeLessThan(2_000);
    own.resume();
    const client = new Redis(own.url);
    await until(async () => (await client.info('commandstats')).includes('cmdstat_hset:calls=3'), {
      what: 'the lease is granted',
    });
    await until(async () => (await client.keys('*')).join() === '{cache}:hot', {
      what: 'it is given back',
      deadlineMs: 1_500,
    });
    client.disconnect();
  });

  it('a load that was not confirmed does not serve who came after an invalidation', async () => {
    const [a, b] = [
      await member({ redis: { url: own.url }, readTimeoutMs: 100 }),
      await member({ redis: { url: own.url } }),
    ];
    const source = new HeldLoader();
    const early = a.cache.getOrLoad('k', source.load);
    const old = await source.run();
    // The loading process is not told of the invalidation, and then its fill is not answered.
    const client = new Redis(own.url);
    await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await b.cache.delete('k');
    client.disconnect();
    const after = a.cache.getOrLoad('k', source.load);
    own.pause();
    old.succeed('old');
    expect(await early).toBe('old');
    (await source.run(2)).succeed('new');
    expect(await after).toBe('new');
    own.resume();
  });

  it('a load that began without it serves nobody who came long after an invalidation', async () => {
    const { systemClock } = await import('../redis/index.js');
    let passedMs = 0;
    const clock = { ...systemClock, monoMs: () => systemClock.monoMs() + passedMs };
    const [a, b] = [
      await member({ redis: { url: own.url }, readTimeoutMs: 100, clock }),
      await member({ redis: { url: own.url } }),
    ];
    const source = new HeldLoader();
    own.pause();
    const early = a.cache.getOrLoad('k', source.load);
    const old = await source.run();
    own.resume();
    await b.cache.delete('k');
    passedMs += 1_001;
    const after = a.cache.getOrLoad('k', source.load);
    old.succeed('old');
    expect(await early).toBe('old');
    (await source.run(2)).succeed('new');
    expect(await after).toBe('new');
  });

  it('who waits for another process goes to the source', async () => {
    const [a, b] = [
      await member({ redis: { url: own.url }, leaseMs: 300 }),
      await member({ redis: { url: own.url }, leaseMs: 300 }),
    ];
    const source = new HeldLoader();
    const calls = [a.cache.getOrLoad('k', source.load)];
    const first = await source.run();
    calls.push(b.cache.getOrLoad('k', source.load));
    const client = new Redis(own.url);
    await until(async () => (await client.hlen(LEASE)) === 3, { what: 'it waits' });
    client.disconnect();
    await own.kill();
    (await source.run(2)).succeed('b');
    first.succeed('a');
    expect(await Promise.all(calls)).toEqual(['a', 'b']);
  });

  it('one that refuses to write is none', async () => {
    const { cache } = await member({ redis: { url: own.url } });
    const client = new Redis(own.url);
    await client.config('SET', 'maxmemory', '1');
    expect(await cache.getOrLoad('k', () => 'source')).toBe('source');
    await expect(cache.set('k', 1)).rejects.toMatchObject({ name: 'ReplyError' });
    client.disconnect();
  });

  it('one that refuses to remove broken bytes is none', async () => {
    const { cache } = await member({ redis: { url: own.url } });
    const client = new Redis(own.url);
    await client.set('{cache}:k', 'broken');
    await client.config('SET', 'min-replicas-to-write', '1');
    expect(await cache.getOrLoad('k', () => 'source')).toBe('source');
    client.disconnect();
  });

  it('one that refuses the fill has who waits ask again', async () => {
    const [a, b] = [await member({ redis: { url: own.url } }), await member({ redis: { url: own.url } })];
    const source = new HeldLoader();
    const calls = [a.cache.getOrLoad('k', source.load)];
    const first = await source.run();
    calls.push(b.cache.getOrLoad('k', source.load));
    const client = new Redis(own.url);
    await until(async () => (await client.hlen(LEASE)) === 3, { what: 'it waits' });
    await client.config('SET', 'maxmemory', '1');
    first.succeed('a');
    (await source.run(2)).succeed('b');
    expect(await Promise.all(calls)).toEqual(['a', 'b']);
    client.disconnect();
  });
});

describe('shutdown', () => {
  it('hands a running load over at once, and leaves no timer', async () => {
    const { systemClock } = await import('../redis/index.js');
    const timers = new Set<object>();
    const clock = {
      ...systemClock,
      timer: (ms: number, fire: () => void) => {
        const timer = {};
        timers.add(timer);
        const cancel = systemClock.timer(ms, () => {
          timers.delete(timer);
          fire();
        });
        return () => {
          timers.delete(timer);
          cancel();
        };
      },
    };
    const a = await cacheMember({ redis: { url: redis.url }, clock });
    const b = await member();
    const source = new HeldLoader();
    const own = a.cache.getOrLoad('k', source.load);
    const first = await source.run();
    const elsewhere = b.cache.getOrLoad('k', source.load);
    await waiters(1);
    await a.close();
    (await source.run(2)).succeed('b');
    expect(await elsewhere).toBe('b');
    first.succeed('a');
    expect(await own).toBe('a');
    expect(timers.size).toBe(0);
  });

  it('leaves nobody waiting', async () => {
    const a = await member();
    const b = await cacheMember({ redis: { url: redis.url } });
    const source = new HeldLoader();
    const own = a.cache.getOrLoad('k', source.load);
    const first = await source.run();
    const waiting = b.cache.getOrLoad('k', source.load);
    await waiters(1);
    await b.close();
    (await source.run(2)).succeed('b');
    expect(await waiting).toBe('b');
    expect(await b.cache.getOrLoad('k', () => 'source')).toBe('source');
    first.succeed('a');
    await own;
  });

  it('does not wait for a Redis that hangs longer than a reader does', async () => {
    const { cache, close } = await cacheMember({ redis: { url: redis.url }, readTimeoutMs: 100 });
    const source = new HeldLoader();
    const call = cache.getOrLoad('k', source.load);
    const run = await source.run();
    redis.pause();
    try {
      const from = performance.now();
      await close();
      // By the commands' own deadline it would be 5 s.
      expect(performance.now() - from).toBeLessThan(3_000);
    } finally {
      redis.resume();
    }
    run.succeed('v');
    expect(await call).toBe('v');
  });
});
