import { describe, expect, it } from '@jest/globals';
import { itOnOneServer } from '../../../test/support/one-server.js';
import { CacheBed, keysLeft } from '../../../test/support/cache-bed.js';
import { HeldLoader } from '../../../test/support/cache-member.js';
import { unheard } from '../../../test/support/unheard.js';
import { until } from '../../../test/support/until.js';

// What is missed here is missed for ever: no need to wait for it longer.
const bed = new CacheBed();
const [SLOTS, QUEUE] = ['{cache}~slots:db', '{cache}~queue:db'];
const limited = { maxConcurrentLoads: 2, source: 'db' };
const queued = (count: number): Promise<boolean> =>
  until(async () => (await bed.admin.zcard(QUEUE)) === count, { what: `${count} are queued`, everyMs: 2 });

async function serverMs(): Promise<number> {
  const [seconds, micros] = await bed.admin.time();
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
}

/** A source that notes how many loads run at once. */
class Crowd {
  running = 0;
  most = 0;
  loads = 0;

  readonly load = async (): Promise<number> => {
    this.loads++;
    this.most = Math.max(this.most, ++this.running);
    await new Promise((resolve) => setTimeout(resolve, 3));
    this.running--;
    return this.loads;
  };
}

describe('maxConcurrentLoads', () => {
  it('is never exceeded by the fleet, and nobody waits for more than a slot', async () => {
    const fleet = [await bed.member(), await bed.member(), await bed.member()];
    const crowd = new Crowd();
    const keys = Array.from({ length: 120 }, (_, i) => `k${i}`);
    await Promise.all(fleet.flatMap(({ cache }) => keys.map((key) => cache.getOrLoad(key, crowd.load, limited))));
    expect(crowd).toMatchObject({ running: 0, most: 2, loads: 120 });
    await until(async () => (await bed.admin.exists(SLOTS, QUEUE)) === 0, { what: 'nothing of it is left' });
  });

  it('serves in the order of coming, wakes the next for a slot that is not taken, and lets no one overtake', async () => {
    const [a, b] = [await bed.member({ leaseMs: 60_000 }), await bed.member({ leaseMs: 60_000 })];
    const one = { ...limited, maxConcurrentLoads: 1 };
    const source = new HeldLoader();
    const calls = [a.cache.getOrLoad('first', source.load, one)];
    await source.run();
    // Both processes queue for one key: who comes second finds a value, and passes the slot on.
    calls.push(a.cache.getOrLoad('second', source.load, one));
    await queued(1);
    calls.push(b.cache.getOrLoad('second', source.load, one));
    await queued(2);
    calls.push(b.cache.getOrLoad('third', source.load, one));
    await queued(3);
    source.runs[0]!.succeed(1);
    expect((await source.run(2)).context.key).toBe('second');
    source.runs[1]!.succeed(2);
    expect((await source.run(3)).context.key).toBe('third');
    source.runs[2]!.succeed(3);
    expect(await Promise.all(calls)).toEqual([1, 2, 2, 3]);
  });

  itOnOneServer('passes over the dead, and gives the slot that they had to who waits, not to who comes', async () => {
    // Nobody is helped by a timer.
    const patient = { leaseMs: 600_000 };
    const [a, b] = [await bed.member(patient), await bed.member(patient)];
    const one = { ...limited, maxConcurrentLoads: 1, loaderTimeoutMs: 600_000 };
    const untilMs = (await serverMs()) + 150;
    await bed.admin.zadd(SLOTS, untilMs, 'dead.1');
    await bed.admin.zadd(QUEUE, 1, `dead.2 ${unheard()}`);
    const source = new HeldLoader();
    const calls = [a.cache.getOrLoad('waits', source.load, one)];
    await queued(2);
    await until(async () => (await serverMs()) > untilMs, { what: 'the slot has lapsed', everyMs: 5 });
    calls.push(b.cache.getOrLoad('comes', source.load, one));
    expect((await source.run()).context.key).toBe('waits');
    await bed.admin.zadd(QUEUE, 1, `dead.3 ${unheard()}`);
    await queued(2);
    source.runs[0]!.succeed(1);
    (await source.run(2)).succeed(2);
    expect(await Promise.all(calls)).toEqual([1, 2]);
  });

  it('counts a loader that outran its time until it has ended, whatever became of its lease', async () => {
    const { cache } = await bed.member({ leaseMs: 500 });
    const one = { ...limited, maxConcurrentLoads: 1, loaderTimeoutMs: 3_000 };
    const source = new HeldLoader();
    await expect(cache.getOrLoad('slow', source.load, one)).rejects.toMatchObject({
      code: 'SLUICE_CACHE_LOADER_TIMEOUT',
    });
    const next = cache.getOrLoad('next', source.load, { ...one, loaderTimeoutMs: 60_000 });
    await queued(1);
    const started = performance.now();
    await until(() => performance.now() - started > 1_500, { what: 'three leases have passed' });
    expect(source.runs).toHaveLength(1);
    source.runs[0]!.succeed('too late');
    (await source.run(2)).succeed('next');
    expect(await next).toBe('next');
  });

  it('frees the slots of a dead process after their lease, and passes over its place in the queue', async () => {
    const { cache } = await bed.member({ leaseMs: 200 });
    const untilMs = (await serverMs()) + 300;
    await bed.admin.zadd(SLOTS, untilMs, 'dead.1', untilMs, 'dead.2');
    await bed.admin.zadd(QUEUE, 1, `dead.3 ${unheard()}`);
    const crowd = new Crowd();
    await Promise.all(['k', 'l', 'm'].map((key) => cache.getOrLoad(key, crowd.load, limited)));
    expect(await serverMs()).toBeGreaterThanOrEqual(untilMs);
    expect(crowd.loads).toBe(3);
    expect(crowd.most).toBeLessThanOrEqual(2);
  });

  it('holds in each process while Redis is away, with what began before', async () => {
    const { cache } = await bed.member();
    const one = { ...limited, maxConcurrentLoads: 1 };
    const source = new HeldLoader();
    const calls = [cache.getOrLoad('before', source.load, one)];
    await source.run();
    await bed.admin.call('CONFIG', 'SET', 'min-replicas-to-write', '1');
    try {
      calls.push(cache.getOrLoad('a', source.load, one), cache.getOrLoad('b', source.load, one));
      const batch = cache.getOrLoadMany(['c', 'd'], (keys) => keys.map((key) => `batch ${key}`), one);
      const other = cache.getOrLoad('elsewhere', () => 'free', { ...one, source: 'other' });
      expect(await other).toBe('free');
      expect(source.runs).toHaveLength(1);
      source.runs[0]!.succeed('v before');
      (await source.run(2)).succeed('v a');
      (await source.run(3)).succeed('v b');
      expect(await Promise.all(calls)).toEqual(['v before', 'v a', 'v b']);
      expect(await batch).toEqual(['batch c', 'batch d']);
    } finally {
      await bed.admin.call('CONFIG', 'SET', 'min-replicas-to-write', '0');
    }
  });

  it('is one for all methods and calls that name the same source, each its own otherwise', async () => {
    const { cache } = await bed.member();
    const source = new HeldLoader();
    const one = { maxConcurrentLoads: 1 };
    const calls = [
      cache.getOrLoad('a', source.load, one),
      cache.getOrLoad('b', source.load, { ...one, source: 'x' }),
      cache.getOrLoad('c', source.load, { ...one, source: 'y' }),
      cache.getOrLoad('free', source.load),
    ];
    for (const [i, run] of (await Promise.all([1, 2, 3, 4].map((n) => source.run(n)))).entries()) run.succeed(i);
    await Promise.all(calls);
  });

  it('has a refresh wait for another time, not its caller', async () => {
    const { cache } = await bed.member();
    const one = { ...limited, maxConcurrentLoads: 1 };
    const stale = { ...one, ttlMs: 30, staleMs: 60_000, jitter: 0, earlyRefresh: 0 };
    await cache.set('k', 'old', stale);
    const source = new HeldLoader();
    const busy = cache.getOrLoad('busy', source.load, one);
    await source.run();
    await until(async () => (await cache.get('k')) === undefined, { what: 'it is stale', everyMs: 5 });
    expect(await cache.getOrLoad('k', source.load, stale)).toBe('old');
    expect(await bed.admin.exists(QUEUE)).toBe(0);
    source.runs[0]!.succeed(1);
    await busy;
    expect(await keysLeft(bed.admin)).toContain('{cache}:k');
  });
});
