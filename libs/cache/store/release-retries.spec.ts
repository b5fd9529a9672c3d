import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CacheBed, keysLeft } from '../../../test/support/cache-bed.js';
import { HeldLoader, type CacheMember } from '../../../test/support/cache-member.js';
import { ManualClock } from '../../../test/support/manual-clock.js';
import { until } from '../../../test/support/until.js';
import { RedisUnavailableError, frame } from '../../redis/index.js';
import { ReleaseRetries } from './release-retries.js';
import { FaultProxy } from '../../testing/index.js';

// What is missed here is missed for ever: no need to wait for it longer.
const bed = new CacheBed();
const LEASE = '{cache}~lease:k';
const [SLOTS, QUEUE] = ['{cache}~slots:db', '{cache}~queue:db'];
const NOWHERE = 1;
const one = { maxConcurrentLoads: 1, source: 'db' };
/** Nothing here may end by itself: a lease lasts longer than a test waits for anything. */
const leaseMs = 600_000;

let proxy: FaultProxy;
beforeEach(async () => {
  proxy = await FaultProxy.to(bed.redis.port);
});
afterEach(() => proxy.close());

/** A process whose way to Redis leads through the proxy, and has been used. */
async function behindProxy(options: { readTimeoutMs?: number; leaseMs?: number } = {}): Promise<CacheMember> {
  const member = await bed.member({ redis: { url: proxy.url }, leaseMs, ...options });
  await member.cache.getOrLoad('warm', () => 'so that the scripts are known', one);
  await member.cache.delete('warm');
  return member;
}

const answered = (): Promise<boolean> => until(() => proxy.held !== '', { what: 'Redis has answered', everyMs: 2 });
const queued = (count: number): Promise<boolean> =>
  until(async () => (await bed.admin.zcard(QUEUE)) === count, { what: `${count} are queued`, everyMs: 2 });
const released = (key: string): Promise<boolean> =>
  until(async () => (await bed.admin.exists(key)) === 0, { what: `${key} is given back`, everyMs: 5 });

describe('a question whose answer dies with its socket', () => {
  it.each([
    ['before its deadline', 2_000],
    ['after it', 100],
  ])('%s: the lease and the slot that it was granted are given back at once', async (_when, readTimeoutMs) => {
    const [a, b] = [await behindProxy({ readTimeoutMs }), await bed.member({ leaseMs })];
    proxy.hold();
    const alone = a.cache.getOrLoad('k', () => 'from the source', one);
    await answered();
    expect(await bed.admin.exists(LEASE, SLOTS)).toBe(2);
    if (readTimeoutMs === 100) expect(await alone).toBe('from the source');
    const source = new HeldLoader();
    const waiting = b.cache.getOrLoad('k', source.load);
    await bed.waiters(1);
    proxy.switchTo(bed.redis.port);
    proxy.release();
    expect(await alone).toBe('from the source');
    (await source.run()).succeed('v');
    expect(await waiting).toBe('v');
    await released(SLOTS);
    expect(await keysLeft(bed.admin)).toEqual(['{cache}:k']);
  });

  it('may be granted by a Redis that hung, when it goes on: given back all the same', async () => {
    const a = await bed.member({ leaseMs, readTimeoutMs: 100 });
    await a.cache.getOrLoad('warm', () => 'so that the script is known');
    const loadLeases = async (): Promise<number> =>
      Number(/cmdstat_hset:calls=(\d+)/.exec(await bed.admin.info('commandstats'))?.[1]);
    const before = await loadLeases();
    bed.redis.pause();
    try {
      expect(await a.cache.getOrLoad('k', () => 'from the source')).toBe('from the source');
      a.connections.get().commands.reset();
    } finally {
      bed.redis.resume();
    }
    await until(async () => (await loadLeases()) > before, { what: 'it is granted', everyMs: 5 });
    await released(LEASE);
  });

  it('gives back the place in the queue of its source', async () => {
    const [a, b] = [await behindProxy(), await bed.member({ leaseMs })];
    const source = new HeldLoader();
    const busy = b.cache.getOrLoad('busy', source.load, one);
    await source.run();
    proxy.hold();
    const alone = a.cache.getOrLoad('k', () => 'from the source', one);
    await queued(1);
    proxy.switchTo(bed.redis.port);
    proxy.release();
    expect(await alone).toBe('from the source');
    await queued(0);
    source.runs[0]!.succeed('v');
    await busy;
  });
});

describe('a place in the queue of a source', () => {
  it('is given back when the answer that tells of it comes too late', async () => {
    const [a, b] = [await behindProxy({ readTimeoutMs: 100 }), await bed.member({ leaseMs })];
    const source = new HeldLoader();
    const busy = b.cache.getOrLoad('busy', source.load, one);
    await source.run();
    proxy.hold();
    expect(await a.cache.getOrLoad('k', () => 'from the source', one)).toBe('from the source');
    await queued(1);
    proxy.release();
    await queued(0);
    source.runs[0]!.succeed('v');
    await busy;
  });

  it.each(['is not there', 'refuses'])('is given back when Redis, asked again, %s', async (how) => {
    const [a, b] = [await behindProxy(), await bed.member({ leaseMs })];
    const { inbox } = a.connections.get();
    await until(() => inbox.proven.monoMs > 0, { what: 'its inbox is subscribed', everyMs: 5 });
    const source = new HeldLoader();
    const busy = b.cache.getOrLoad('busy', source.load, one);
    await source.run();
    const alone = a.cache.getOrLoad('k', () => 'from the source', one);
    await queued(1);
    if (how === 'refuses') {
      const [token = ''] = (await bed.admin.zrange(QUEUE, '0', '-1'))[0]!.split(' ');
      await bed.admin.config('SET', 'min-replicas-to-write', '1');
      await bed.admin.publish(inbox.channel, frame('cache:news', 'again', token, ''));
    } else proxy.switchTo(NOWHERE);
    expect(await alone.finally(() => bed.admin.config('SET', 'min-replicas-to-write', '0'))).toBe('from the source');
    // Where Redis refused, it may take writes again before it is told to forget the place.
    if (how === 'is not there') expect(await bed.admin.zcard(QUEUE)).toBe(1);
    proxy.switchTo(bed.redis.port);
    await queued(0);
    source.runs[0]!.succeed('v');
    await busy;
  });
});

it('a load that ends while Redis cannot be reached gives back its lease and its slot once it can', async () => {
  const [a, b] = [await behindProxy(), await bed.member({ leaseMs })];
  const source = new HeldLoader();
  const calls = [a.cache.getOrLoad('k', source.load, one)];
  const run = await source.run();
  calls.push(b.cache.getOrLoad('k', source.load));
  await bed.waiters(1);
  calls.push(b.cache.getOrLoad('other', source.load, one));
  await queued(1);
  proxy.switchTo(NOWHERE);
  run.succeed('not stored');
  expect(await calls[0]).toBe('not stored');
  expect(source.runs).toHaveLength(1);
  proxy.switchTo(bed.redis.port);
  for (const each of [await source.run(2), await source.run(3)]) each.succeed(each.context.key);
  expect(await Promise.all(calls)).toEqual(['not stored', 'k', 'other']);
});

it('an error that Redis was not told of leaves no lease either', async () => {
  const a = await behindProxy();
  const source = new HeldLoader();
  const call = a.cache.getOrLoad('k', source.load);
  const run = await source.run();
  proxy.switchTo(NOWHERE);
  run.fail(new RangeError('mine'));
  await expect(call).rejects.toThrow(RangeError);
  expect(await bed.admin.exists(LEASE)).toBe(1);
  proxy.switchTo(bed.redis.port);
  await released(LEASE);
});

it('a load that ends while Redis refuses is given back as soon as Redis takes it, without a new connection', async () => {
  const [a, b] = [await bed.member({ leaseMs }), await bed.member({ leaseMs })];
  const source = new HeldLoader();
  const calls = [a.cache.getOrLoad('k', source.load, one)];
  const run = await source.run();
  calls.push(b.cache.getOrLoad('k', source.load));
  await bed.waiters(1);
  calls.push(b.cache.getOrLoad('other', source.load, one));
  await queued(1);
  await bed.admin.config('SET', 'min-replicas-to-write', '1');
  try {
    run.succeed('not stored');
    expect(await calls[0]).toBe('not stored');
    expect(await bed.admin.exists(LEASE, SLOTS)).toBe(2);
  } finally {
    await bed.admin.config('SET', 'min-replicas-to-write', '0');
  }
  for (const each of [await source.run(2), await source.run(3)]) each.succeed(each.context.key);
  expect(await Promise.all(calls)).toEqual(['not stored', 'k', 'other']);
  expect(await keysLeft(bed.admin)).toEqual(['{cache}:k', '{cache}:other']);
});

describe('ReleaseRetries', () => {
  const down = new RedisUnavailableError('down', 'not-sent');
  const refused = new RedisUnavailableError('NOREPLICAS', 'not-sent', { refusal: 'NOREPLICAS' });

  it('tries again until it is confirmed, and then no more', async () => {
    const releaseRetries = new ReleaseRetries(new ManualClock(), leaseMs);
    const replies: (Error | string)[] = [down, down, 'done'];
    let tries = 0;
    const step = (): Promise<unknown> => {
      const reply = replies[tries++];
      return reply instanceof Error ? Promise.reject(reply) : Promise.resolve(reply);
    };
    await expect(releaseRetries.now('x', step)).rejects.toBe(down);
    for (const expected of [2, 3, 3]) {
      await releaseRetries.retry();
      expect(tries).toBe(expected);
    }
  });

  it('repeats what Redis refuses, and only that, every 200 ms until the lease is over', async () => {
    const clock = new ManualClock();
    const releaseRetries = new ReleaseRetries(clock, 3_000);
    const tries = { refused: 0, down: 0 };
    let reply: Error = refused;
    const step = (): Promise<never> => {
      tries.refused++;
      return Promise.reject(reply);
    };
    await expect(releaseRetries.now('x', step)).rejects.toBe(refused);
    const unsent = (): Promise<never> => {
      tries.down++;
      return Promise.reject(down);
    };
    await expect(releaseRetries.now('y', unsent)).rejects.toBe(down);
    for (let i = 1; i < 15; i++) {
      await clock.pass(200);
      expect(tries).toEqual({ refused: 1 + i, down: 1 });
    }
    await clock.pass(60_000);
    expect(tries.refused).toBeLessThanOrEqual(16);
    // What was asked for may be granted late: it is tried once more on the next connection.
    const before = tries.refused;
    reply = down;
    await releaseRetries.retry();
    expect(tries).toEqual({ refused: before + 1, down: 2 });
    await clock.pass(60_000);
    expect(tries).toEqual({ refused: before + 1, down: 2 });
  });

  it('stops repeating what is confirmed', async () => {
    const clock = new ManualClock();
    const releaseRetries = new ReleaseRetries(clock, 3_000);
    let tries = 0;
    const step = (): Promise<string> => (++tries === 1 ? Promise.reject(refused) : Promise.resolve('done'));
    await expect(releaseRetries.now('x', step)).rejects.toBe(refused);
    await clock.pass(2_000);
    expect(tries).toBe(2);
  });

  it('forgets what was confirmed late, and the oldest of too many', async () => {
    const releaseRetries = new ReleaseRetries(new ManualClock(), leaseMs);
    const tried: string[] = [];
    const step = (name: string) => (): Promise<unknown> => Promise.resolve(tried.push(name));
    let late = (): void => {};
    const unanswered = releaseRetries.now('late', (confirmed) => {
      late = confirmed;
      return Promise.reject(down);
    });
    await expect(unanswered).rejects.toBe(down);
    late();
    for (let i = 0; i < 10_001; i++) releaseRetries.later(`n${i}`, step(`n${i}`), down);
    releaseRetries.settle('n1');
    await releaseRetries.retry();
    expect(tried).toHaveLength(9_999);
    expect(tried[0]).toBe('n2');
  });
});
