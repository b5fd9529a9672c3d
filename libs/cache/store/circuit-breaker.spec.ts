import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { itAsUsersSendIt, itOnPlainRedis } from '../../../test/support/cluster-mode.js';
import { CacheBed, keysLeft } from '../../../test/support/cache-bed.js';
import { HeldLoader } from '../../../test/support/cache-member.js';
import { SOON_MS, until } from '../../../test/support/until.js';
import { RedisUnavailableError, systemClock } from '../../redis/index.js';
import { startRedis, type RedisServer } from '../../testing/index.js';
import { CircuitBreaker } from './circuit-breaker.js';

// What is missed here is missed for ever: no need to wait for it longer.
const bed = new CacheBed();
const code = (name: string) => expect.objectContaining({ code: name });

describe('the breaker', () => {
  let nowMs = 0;
  const breaker = (): CircuitBreaker => new CircuitBreaker({ ...systemClock, monoMs: () => nowMs });
  const hangs = (): Promise<never> => Promise.reject(new RedisUnavailableError('gave no reply', 'unknown'));
  const asked = async (over: CircuitBreaker, read: () => Promise<unknown>): Promise<boolean> => {
    let was = false;
    await over
      .guard(() => {
        was = true;
        return read();
      })
      .catch(() => {});
    return was;
  };

  it('asks once in a while, and always again once something was answered', async () => {
    const over = breaker();
    expect(await asked(over, hangs)).toBe(true);
    expect(await asked(over, hangs)).toBe(false);
    await expect(over.guard(hangs)).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE', outcome: 'not-sent' });
    nowMs += 401;
    const probes = await Promise.all([1, 2, 3].map(() => asked(over, hangs)));
    expect(probes).toEqual([true, false, false]);
    nowMs += 401;
    expect(await asked(over, () => Promise.resolve(1))).toBe(true);
    expect(await asked(over, hangs)).toBe(true);
    over.close();
    expect(await asked(over, hangs)).toBe(true);
  });

  it('stays closed while anything was answered within the time that counts as silence', async () => {
    let opened = 0;
    const over = new CircuitBreaker({ ...systemClock, monoMs: () => nowMs }, 250, () => opened++);
    await over.guard(() => Promise.resolve(1));
    nowMs += 249;
    expect(await asked(over, hangs)).toBe(true);
    expect(await asked(over, hangs)).toBe(true);
    expect(opened).toBe(0);
    nowMs += 1;
    expect(await asked(over, hangs)).toBe(true);
    expect(await asked(over, hangs)).toBe(false);
    nowMs += 401;
    expect(await asked(over, hangs)).toBe(true);
    expect(opened).toBe(1);
  });

  it('takes a refusal for an answer, and a connection that is down for no reason to wait', async () => {
    const over = breaker();
    for (const error of [new Error('OOM'), new RedisUnavailableError('is not connected', 'not-sent')]) {
      for (let i = 0; i < 3; i++) expect(await asked(over, () => Promise.reject(error))).toBe(true);
    }
  });
});

describe('a Redis in trouble', () => {
  let own: RedisServer;
  let client: Redis;
  beforeEach(async () => {
    own = await startRedis();
    client = new Redis(own.url);
  });
  afterEach(async () => {
    client.disconnect();
    await own.stop();
  });

  it('that hangs makes one wait, not each; and is used again as soon as it answers', async () => {
    const { cache } = await bed.member({ redis: { url: own.url }, readTimeoutMs: 300 });
    for (const key of ['hot', 'k0']) await cache.getOrLoad(key, () => 'cached');
    own.pause();
    const from = performance.now();
    for (let i = 1; i < 40; i++) {
      expect(await cache.getOrLoad(`k${i}`, () => 'source')).toBe('source');
      expect(await cache.getOrLoad('hot', () => 'source')).toBe('source');
      expect(await cache.get('hot')).toBe(undefined);
    }
    // If each had waited: 36 s.
    expect(performance.now() - from).toBeLessThan(6_000);
    own.resume();
    await until(async () => (await cache.getOrLoad('hot', () => 'source')) === 'cached', {
      what: 'it is used again',
      deadlineMs: SOON_MS,
      everyMs: 5,
    });
    await until(async () => (await keysLeft(client)).join() === '{cache}:hot,{cache}:k0', { what: 'no lease is left' });
  });

  it('that answers slowly is no outage: one late reply makes no reader go to the source', async () => {
    // No rule of the cache has BLPOP.
    const url = own.url.replace('://', '://default:any@');
    const { cache, connections } = await bed.member({ redis: { url }, readTimeoutMs: 1_000 });
    await cache.set('hot', 'cached');
    const source = jest.fn(() => 'source');
    // Each keeps the socket waiting for less than the timeout, all of them for longer, and each is answered by itself.
    const { commands } = connections.get();
    const busy = Array.from({ length: 10 }, () => commands.send('blpop', ['none', '0.15'], { deadlineMs: 60_000 }));
    expect(await Promise.all([cache.getOrLoad('hot', source), cache.get('hot'), cache.getOrLoad('k', source)])).toEqual(
      ['cached', 'cached', 'source'],
    );
    await Promise.all(busy);
    expect(source).toHaveBeenCalledTimes(1);
    expect(await cache.get('k')).toBe('source');
    expect(cache.stats().total.bypassed).toEqual({ down: 0, timeout: 0, breaker: 0, refused: 0 });
  });

  it('that is gone and comes back is used within a second', async () => {
    const { cache } = await bed.member({ redis: { url: own.url } });
    await own.kill();
    expect(await cache.getOrLoad('k', () => 'source')).toBe('source');
    await own.restart();
    let n = 0;
    await until(
      async () => {
        const key = `k${n++}`;
        await cache.getOrLoad(key, () => 'stored');
        return (await cache.get(key)) === 'stored';
      },
      { what: 'it is used again', deadlineMs: SOON_MS, everyMs: 5 },
    );
  });

  it('is an error to those who want one: down, hung, or full', async () => {
    const { cache } = await bed.member({ redis: { url: own.url }, readTimeoutMs: 100, onBackendDown: 'throw' });
    await cache.getOrLoad('hot', () => 'cached');
    const source = jest.fn(() => 'source');
    await client.config('SET', 'maxmemory', '1');
    await expect(cache.getOrLoad('k', source)).rejects.toMatchObject({
      code: 'SLUICE_REDIS_UNAVAILABLE',
      refusal: 'OOM',
    });
    expect(await cache.getOrLoad('hot', source)).toBe('cached');
    await client.config('SET', 'maxmemory', '0');
    own.pause();
    for (const key of ['k', 'hot']) {
      await expect(cache.getOrLoad(key, source)).rejects.toEqual(code('SLUICE_REDIS_UNAVAILABLE'));
    }
    expect(source).not.toHaveBeenCalled();
    expect(await cache.getOrLoad('k', source, { onBackendDown: 'load' })).toBe('source');
    own.resume();
    await until(
      () =>
        cache.getOrLoad('hot', source).then(
          (value) => value === 'cached',
          () => false,
        ),
      {
        what: 'it is used again',
        deadlineMs: SOON_MS,
      },
    );
    await own.kill();
    await expect(cache.getOrLoad('k', source)).rejects.toEqual(code('SLUICE_REDIS_UNAVAILABLE'));
  });

  itAsUsersSendIt('that is full coordinates no loads, serves what it has, and stores again when it can', async () => {
    const [a, b] = [await bed.member({ redis: { url: own.url } }), await bed.member({ redis: { url: own.url } })];
    await a.cache.set('hit', 'cached', { tags: ['a'] });
    await client.config('SET', 'maxmemory', '1');
    const source = new HeldLoader();
    const options = { tags: ['a'], resultTags: () => ['b'], maxConcurrentLoads: 1, staleMs: 5 };
    const calls = [a, a, b].map(({ cache }) => cache.getOrLoad('k', source.load, options));
    for (const [i, run] of [await source.run(), await source.run(2)].entries()) run.succeed(i);
    const [first, second, third] = await Promise.all(calls);
    expect([first, third].sort()).toEqual([0, 1]);
    expect(second).toBe(first);
    expect(await b.cache.getOrLoad('hit', () => 'source', { tags: ['a'] })).toBe('cached');
    await client.config('SET', 'maxmemory', '0');
    expect(await a.cache.getOrLoad('k', () => 'v', options)).toBe('v');
    expect(await b.cache.get('k')).toBe('v');
  });

  itOnPlainRedis('that is a replica serves what it has, and nothing else', async () => {
    const [{ cache: main }, replica] = [await bed.member({ redis: { url: own.url } }), await startRedis()];
    const admin = new Redis(replica.url);
    try {
      await main.set('k', 'cached', { tags: ['a'] });
      // A replica would not be booted on.
      const { cache } = await bed.member({ redis: { url: replica.url } });
      await admin.replicaof('127.0.0.1', own.port);
      await until(async () => (await admin.info('replication')).includes('master_link_status:up'), {
        what: 'it follows',
      });
      expect(await cache.getOrLoad('k', () => 'source')).toBe('cached');
      expect(await cache.getOrLoad('k', () => 'source')).toBe('cached');
      expect(await cache.getOrLoad('other', () => 'source')).toBe('source');
      // Refused for the first time, it connected anew: it might have been another server by now.
      const refused = (write: () => Promise<unknown>): Promise<unknown> =>
        until(
          () =>
            write().then(
              () => false,
              (error: unknown) => String(error).includes('READONLY'),
            ),
          { what: 'refused' },
        );
      await refused(() => cache.delete('k'));
      await refused(() => cache.invalidateTags('a'));
    } finally {
      admin.disconnect();
      await replica.stop();
    }
  });
});
