import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { keysLeft } from '../../../test/support/cache-bed.js';
import { CacheBed } from '../../../test/support/cache-bed.js';
import { HeldLoader, cacheMember } from '../../../test/support/cache-member.js';
import { SOON_MS, until } from '../../../test/support/until.js';
import { startRedis, type RedisServer } from '../../testing/index.js';

// What is missed here is missed for ever: no need to wait for it longer.
const bed = new CacheBed();
const LEASE = '{cache}~lease:k';
const code = (name: string) => expect.objectContaining({ code: name });

describe('a Redis that is busy for longer than readTimeoutMs, and knows no script', () => {
  const patient = { leaseMs: 180_000, readTimeoutMs: 100 };
  /** The next script waits for this long, and is answered with NOSCRIPT then. */
  const busy = async (): Promise<void> => {
    await bed.admin.script('FLUSH');
    await bed.admin.client('PAUSE', 500, 'ALL');
  };

  it('stores what was loaded', async () => {
    const { cache } = await bed.member(patient);
    const source = new HeldLoader();
    const read = cache.getOrLoad('k', source.load);
    const run = await source.run();
    await busy();
    run.succeed('loaded');
    expect(await read).toBe('loaded');
    expect((await bed.admin.get('{cache}:k'))?.endsWith('\n"loaded"')).toBe(true);
  });

  it('notes the error of a loader', async () => {
    const { cache } = await bed.member(patient);
    const source = new HeldLoader();
    const read = cache.getOrLoad('k', source.load, { errorBackoffMs: 60_000 });
    const run = await source.run();
    await busy();
    run.fail(new Error('no'));
    await expect(read).rejects.toThrow('no');
    expect(await bed.admin.hget(LEASE, 'error')).toContain('"no"');
  });
});

describe('without Redis', () => {
  let own: RedisServer;
  let client: Redis;
  beforeEach(async () => {
    own = await startRedis();
    client = new Redis(own.url);
    client.on('error', () => {});
  });
  afterEach(async () => {
    client.disconnect();
    await own.stop();
  });

  it('reads go to the source at once, one load per process, and writes reject', async () => {
    const { cache } = await bed.member({ redis: { url: own.url } });
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

  it('callers that wait for the load of another process go to the source as soon as the connection is lost', async () => {
    const options = { redis: { url: own.url }, leaseMs: 600_000, loaderTimeoutMs: 600_000 };
    const [loader, reader] = [await bed.member(options), await bed.member(options)];
    const source = new HeldLoader<string>();
    const loading = loader.cache.getOrLoad('k', source.load);
    await source.run();
    const waiting = reader.cache.getOrLoad('k', () => 'alone');
    const byHand = await reader.cache.lease<string>('k');
    if (byHand.state !== 'wait') throw new Error(`it is ${byHand.state}`);
    await until(async () => (await client.hkeys(LEASE)).filter((field) => field.startsWith('w:')).length === 2, {
      what: 'both wait',
    });
    await own.kill();
    expect(await waiting).toBe('alone');
    await expect(byHand.wait()).rejects.toEqual(code('SLUICE_REDIS_UNAVAILABLE'));
    source.runs[0]!.succeed('v');
    expect(await loading).toBe('v');
  });

  it('callers that wait for the load of another process go to the source when Redis is found to hang', async () => {
    const options = { redis: { url: own.url }, leaseMs: 600_000, loaderTimeoutMs: 600_000, readTimeoutMs: 100 };
    const [loader, reader] = [await bed.member(options), await bed.member(options)];
    const source = new HeldLoader<string>();
    const loading = loader.cache.getOrLoad('k', source.load);
    await source.run();
    const waiting = reader.cache.getOrLoad('k', () => 'alone');
    await until(async () => (await client.hkeys(LEASE)).some((field) => field.startsWith('w:')), { what: 'it waits' });
    own.pause();
    expect(await reader.cache.getOrLoad('other', () => 'source')).toBe('source');
    expect(await waiting).toBe('alone');
    // A socket that is given up for its silence, seconds later, would have told them as well.
    expect(reader.connections.get().commands.up).toBe(true);
    source.runs[0]!.succeed('v');
    expect(await loading).toBe('v');
    own.resume();
  });

  it('a load that ends meanwhile serves its callers', async () => {
    const { cache } = await bed.member({ redis: { url: own.url }, readTimeoutMs: 100 });
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
    const redis = { url: own.url, commandTimeoutMs: 60_000 };
    const { cache } = await bed.member({ redis, readTimeoutMs: 100, leaseMs: 120_000 });
    await cache.getOrLoad('known', () => 'so that the script is known');
    await cache.delete('known');
    await cache.getOrLoad('hot', () => 'cached');
    own.pause();
    const started = performance.now();
    expect(await cache.getOrLoad('k', () => 'source')).toBe('source');
    // Known by now not to answer: nobody else waits.
    expect(await cache.getOrLoad('hot', () => 'source')).toBe('source');
    expect(await cache.get('k')).toBe(undefined);
    expect(performance.now() - started).toBeLessThan(20_000);
    own.resume();
    await until(async () => (await client.info('commandstats')).includes('cmdstat_hset:calls=3'), {
      what: 'the lease is granted',
    });
    await until(async () => (await keysLeft(client)).join() === '{cache}:hot', {
      what: 'it is given back',
      deadlineMs: SOON_MS,
    });
  });

  it('a load that was not confirmed does not serve who came after an invalidation', async () => {
    const [a, b] = [
      await bed.member({ redis: { url: own.url }, readTimeoutMs: 100 }),
      await bed.member({ redis: { url: own.url } }),
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
    const { systemClock } = await import('../../redis/index.js');
    let passedMs = 0;
    const clock = { ...systemClock, monoMs: () => systemClock.monoMs() + passedMs };
    const [a, b] = [
      await bed.member({ redis: { url: own.url }, readTimeoutMs: 100, clock }),
      await bed.member({ redis: { url: own.url } }),
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
      await bed.member({ redis: { url: own.url }, leaseMs: 300 }),
      await bed.member({ redis: { url: own.url }, leaseMs: 300 }),
    ];
    const source = new HeldLoader();
    const calls = [a.cache.getOrLoad('k', source.load)];
    const first = await source.run();
    calls.push(b.cache.getOrLoad('k', source.load));
    await until(async () => (await client.hlen(LEASE)) === 5, { what: 'it waits' });
    client.disconnect();
    await own.kill();
    (await source.run(2)).succeed('b');
    first.succeed('a');
    expect(await Promise.all(calls)).toEqual(['a', 'b']);
  });

  it('one that refuses to write is none', async () => {
    const { cache } = await bed.member({ redis: { url: own.url } });
    await client.config('SET', 'maxmemory', '1');
    expect(await cache.getOrLoad('k', () => 'source')).toBe('source');
    await expect(cache.set('k', 1)).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE', refusal: 'OOM' });
  });

  it('one that refuses to remove broken bytes is none', async () => {
    const { cache } = await bed.member({ redis: { url: own.url } });
    const client = new Redis(own.url);
    await client.set('{cache}:k', 'broken');
    await client.config('SET', 'min-replicas-to-write', '1');
    expect(await cache.getOrLoad('k', () => 'source')).toBe('source');
    client.disconnect();
  });

  it('one that refuses the fill has who waits ask again', async () => {
    const [a, b] = [await bed.member({ redis: { url: own.url } }), await bed.member({ redis: { url: own.url } })];
    const source = new HeldLoader();
    const calls = [a.cache.getOrLoad('k', source.load)];
    const first = await source.run();
    calls.push(b.cache.getOrLoad('k', source.load));
    await until(async () => (await client.hlen(LEASE)) === 5, { what: 'it waits' });
    await client.config('SET', 'maxmemory', '1');
    first.succeed('a');
    (await source.run(2)).succeed('b');
    expect(await Promise.all(calls)).toEqual(['a', 'b']);
  });
});

describe('shutdown', () => {
  it('hands a running load over at once, and leaves no timer', async () => {
    const { systemClock } = await import('../../redis/index.js');
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
    // So long a lease that nobody takes over because of its end.
    const a = await cacheMember({ redis: { url: bed.redis.url }, leaseMs: 60_000, clock });
    const b = await bed.member({ leaseMs: 60_000 });
    const source = new HeldLoader();
    const own = a.cache.getOrLoad('k', source.load);
    const first = await source.run();
    const elsewhere = b.cache.getOrLoad('k', source.load);
    await bed.waiters(1);
    await a.close();
    (await source.run(2)).succeed('b');
    expect(await elsewhere).toBe('b');
    first.succeed('a');
    expect(await own).toBe('a');
    expect(timers.size).toBe(0);
  });

  it('leaves nobody waiting', async () => {
    const a = await bed.member();
    const b = await cacheMember({ redis: { url: bed.redis.url } });
    const source = new HeldLoader();
    const own = a.cache.getOrLoad('k', source.load);
    const first = await source.run();
    const waiting = b.cache.getOrLoad('k', source.load);
    await bed.waiters(1);
    await b.close();
    (await source.run(2)).succeed('b');
    expect(await waiting).toBe('b');
    expect(await b.cache.getOrLoad('k', () => 'source')).toBe('source');
    first.succeed('a');
    await own;
  });

  it('does not wait for a Redis that hangs longer than a reader does', async () => {
    const redis = { url: bed.redis.url, commandTimeoutMs: 60_000 };
    const { cache, close } = await cacheMember({ redis, readTimeoutMs: 100 });
    const source = new HeldLoader();
    const call = cache.getOrLoad('k', source.load);
    const run = await source.run();
    bed.redis.pause();
    try {
      const from = performance.now();
      await close();
      // By the commands' own deadline it would be a minute.
      expect(performance.now() - from).toBeLessThan(20_000);
    } finally {
      bed.redis.resume();
    }
    run.succeed('v');
    expect(await call).toBe('v');
  });
});
