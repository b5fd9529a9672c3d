import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { commandDelta } from '../../test/support/command-delta.js';
import { lockMember, type LockMember, type LockMemberOptions } from '../../test/support/lock-member.js';
import { until } from '../../test/support/until.js';
import { startRedis, type RedisServer } from '../testing/index.js';
import { CronJobs } from './cron-jobs.js';
import { LOCK_STORE } from './lock.tokens.js';
import { Lock, LockService, currentLock } from './index.js';

let redis: RedisServer;
let admin: Redis;
const members: LockMember[] = [];
beforeAll(async () => {
  redis = await startRedis();
  admin = new Redis(redis.url);
});
afterEach(async () => {
  await Promise.all(members.splice(0).map(({ app }) => app.close()));
  await admin.flushall();
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
});

async function member(options?: LockMemberOptions): Promise<LockMember> {
  const joined = await lockMember(redis.url, options);
  members.push(joined);
  return joined;
}

const service = async (options?: LockMemberOptions): Promise<LockService> => (await member(options)).locks;

const waiting = (count: number, name = 'x'): Promise<unknown> =>
  until(async () => (await admin.zcard(`{lock:${name}}:~queue`)) === count, { what: `${count} wait`, everyMs: 5 });

describe('exclusion', () => {
  it('has one holder at a time, in whatever process', async () => {
    const [a, b] = [await service(), await service()];
    const lock = await a.acquire('x');
    expect(lock).toBeInstanceOf(Lock);
    expect(lock.held).toBe(true);
    expect(await b.tryAcquire('x')).toBeNull();
    expect(await a.tryAcquire('x')).toBeNull();
    expect(await a.tryAcquire('y')).not.toBeNull();
    expect(await lock.release()).toBe(true);
    expect(lock.held).toBe(false);
    expect(await b.tryAcquire('x')).not.toBeNull();
  });

  it('takes one owner in two hands for two', async () => {
    const locks = await service();
    const lock = await locks.acquire('x', { owner: 'me' });
    expect(await admin.get('lock:x')).toBe('me');
    expect(await locks.tryAcquire('x', { owner: 'me' })).toBeNull();
    await lock.release();
    expect(await locks.tryAcquire('x', { owner: 'me' })).not.toBeNull();
    expect(await lock.release()).toBe(true);
    expect(await admin.get('lock:x')).toBe('me');
  });

  it('excludes clients of the plain recipe, and is excluded by them', async () => {
    const locks = await service();
    const lock = await locks.acquire('x', { owner: 'ours' });
    expect(await admin.set('lock:x', 'theirs', 'PX', 1_000, 'NX')).toBeNull();
    await lock.release();
    expect(await admin.set('lock:x', 'theirs', 'PX', 60_000, 'NX')).toBe('OK');
    expect(await locks.tryAcquire('x')).toBeNull();
    await expect(locks.acquire('x', { waitMs: 0 })).rejects.toMatchObject({ holder: { owner: 'theirs' } });
    const waiter = locks.acquire('x', { waitMs: 5_000 });
    await waiting(1);
    await admin.del('lock:x');
    expect((await waiter).held).toBe(true);
  });

  it('releases what is its own, and never the next one', async () => {
    const [a, b] = [await service(), await service()];
    const first = await a.acquire('x', { ttlMs: 100, renew: false });
    const second = await b.acquire('x');
    expect(first.held).toBe(false);
    expect(await first.release()).toBe(false);
    expect(await first.release()).toBe(false);
    expect(second.held).toBe(true);
    expect(await admin.get('lock:x')).toBe(second.owner);
  });

  it('works in a namespace of its own, and by names with a hash tag', async () => {
    const [a, b] = [await service({ namespace: 'shop' }), await service()];
    await a.acquire('{tenant}:x');
    expect(await b.tryAcquire('{tenant}:x')).not.toBeNull();
    expect((await admin.keys('*')).sort()).toEqual(
      ['', ':~fence', ':~holder'].flatMap((side) => [`lock:{tenant}:x${side}`, `shop:lock:{tenant}:x${side}`]).sort(),
    );
  });
});

describe('fencing tokens', () => {
  it('increase from holder to holder, are kept for an hour, and survive their loss', async () => {
    const locks = await service();
    const tokens: number[] = [];
    const take = (): Promise<void> => locks.withLock('x', ({ fencingToken }) => void tokens.push(fencingToken));
    await take();
    await admin.set('{lock:x}:~fence', String(tokens[0]! + 3_600_000_000));
    await take();
    await take();
    expect(tokens[2]).toBe(tokens[1]! + 1);
    expect(tokens[1]).toBe(tokens[0]! + 3_600_000_001);
    expect(await admin.pttl('{lock:x}:~fence')).toBeGreaterThan(3_590_000);
    await admin.del('{lock:x}:~fence');
    await take();
    expect(tokens[3]).toBeGreaterThan(tokens[0]!);
    expect(tokens.every(Number.isSafeInteger)).toBe(true);
  });
});

describe('what it leaves and costs', () => {
  it('leaves fences that expire, and nothing else', async () => {
    const [a, b] = [await service(), await service()];
    await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? a : b).withLock(`n${i % 4}`, () => i)));
    const keys = await admin.keys('*');
    expect(keys.sort()).toEqual([0, 1, 2, 3].map((i) => `{lock:n${i}}:~fence`));
    for (const key of keys) expect(await admin.pttl(key)).toBeGreaterThan(0);
  });

  it('sends two commands for an uncontended pair', async () => {
    const locks = await service();
    await locks.withLock('x', () => 0);
    const { calls } = await commandDelta(admin, async () => {
      for (let i = 0; i < 10; i++) await locks.withLock('x', () => 0);
    });
    // The inbox asks its socket whether it lives, once a second.
    expect(calls['evalsha']).toBe(20);
    expect(calls['eval'] ?? 0).toBe(0);
  });

  it('sends nothing while it waits but a heartbeat per second', async () => {
    const [a, b] = [await service(), await service()];
    const lock = await a.acquire('x');
    const waiters = Array.from({ length: 30 }, () => b.withLock('x', () => 0));
    await waiting(30);
    const { calls } = await commandDelta(admin, async () => {
      await new Promise((resolve) => setTimeout(resolve, 2_100));
    });
    expect(calls['evalsha']).toBeLessThanOrEqual(3);
    expect(calls['evalsha']).toBeGreaterThanOrEqual(1);
    await lock.release();
    await Promise.all(waiters);
  });
});

describe('waiting', () => {
  it('is served first come, first served, across processes, without a gap', async () => {
    const fleet = [await service(), await service(), await service()];
    const lock = await fleet[0]!.acquire('x');
    const order: number[] = [];
    const all: Promise<unknown>[] = [];
    for (let i = 0; i < 12; i++) {
      all.push(fleet[i % 3]!.withLock('x', () => void order.push(i)));
      await waiting(i + 1);
    }
    const from = performance.now();
    await lock.release();
    await Promise.all(all);
    expect(order).toEqual(Array.from({ length: 12 }, (_, i) => i));
    // Twelve pushes, of which each takes a millisecond or two; a heartbeat would take up to a second.
    expect(performance.now() - from).toBeLessThan(900);
  });

  it('times out with who holds it and since when, and leaves the queue', async () => {
    const [holder, locks] = [await member(), await service()];
    const before = Date.now();
    await holder.locks.acquire('x', { owner: 'job 7' });
    const failed = locks.acquire('x', { waitMs: 60 });
    await expect(failed).rejects.toMatchObject({
      name: 'LockTimeoutError',
      code: 'SLUICE_LOCK_TIMEOUT',
      lock: 'x',
      waitedMs: 60,
      holder: { owner: 'job 7', process: holder.connections.processId },
    });
    const { holder: info } = (await failed.catch((error: unknown) => error)) as { holder: { since: Date } };
    expect(info.since.getTime()).toBeGreaterThan(before - 1_000);
    expect(info.since.getTime()).toBeLessThan(Date.now() + 1_000);
    await expect(locks.acquire('x', { waitMs: 0 })).rejects.toMatchObject({ holder: { owner: 'job 7' }, waitedMs: 0 });
    expect(await admin.exists('{lock:x}:~queue', '{lock:x}:~waiters')).toBe(0);
  });

  it('ends with the reason of its signal', async () => {
    const locks = await service();
    await locks.acquire('x');
    const reason = new Error('enough');
    const controller = new AbortController();
    const waiter = locks.acquire('x', { signal: controller.signal });
    await waiting(1);
    controller.abort(reason);
    await expect(waiter).rejects.toBe(reason);
    await waiting(0);
    await expect(locks.acquire('y', { signal: controller.signal })).rejects.toBe(reason);
    await expect(locks.tryAcquire('y', { signal: controller.signal })).rejects.toBe(reason);
    expect(await admin.exists('lock:y')).toBe(0);
  });

  it('of many who give up, and many who do not, loses none', async () => {
    const fleet = [await service(), await service()];
    let holders = 0;
    const outcomes = await Promise.all(
      Array.from({ length: 120 }, async (_, i) => {
        try {
          const waitMs = i % 3 === 0 ? 1 + i / 4 : 20_000;
          await fleet[i % 2]!.withLock('x', { waitMs }, async () => {
            expect(++holders).toBe(1);
            await new Promise((resolve) => setTimeout(resolve, 1));
            holders--;
          });
          return 'ran';
        } catch (error) {
          return (error as { code: string }).code;
        }
      }),
    );
    expect(new Set(outcomes)).toEqual(new Set(['ran', 'SLUICE_LOCK_TIMEOUT']));
    expect(outcomes.filter((outcome) => outcome === 'ran').length).toBeGreaterThanOrEqual(80);
    expect(await admin.keys('*')).toEqual(['{lock:x}:~fence']);
  });
});

describe('withLock', () => {
  it('gives the lock to its body, resolves to its result and releases', async () => {
    const locks = await service();
    const result = await locks.withLock('x', async (lock) => {
      expect(currentLock()).toBe(lock);
      await locks.withLock('y', (inner) => {
        expect(currentLock()).toBe(inner);
      });
      expect(currentLock()).toBe(lock);
      return 42;
    });
    expect(result).toBe(42);
    expect(currentLock()).toBeUndefined();
    expect(await admin.exists('lock:x')).toBe(0);
  });

  it.each([
    ['async', async (error: Error) => Promise.reject(error)],
    [
      'sync',
      (error: Error) => {
        throw error;
      },
    ],
  ])('rejects with the very error of an %s body, and releases', async (_kind, fail) => {
    const locks = await service();
    const error = new Error('of the body');
    await expect(locks.withLock('x', () => fail(error))).rejects.toBe(error);
    expect(await admin.exists('lock:x')).toBe(0);
  });

  it('rejects when the lock was lost under a body that returned', async () => {
    const locks = await service();
    const failed = locks.withLock('x', { ttlMs: 90 }, async (lock) => {
      await admin.set('lock:x', 'theirs');
      await new Promise((resolve) => {
        lock.signal.addEventListener('abort', resolve);
      });
      expect(lock.signal.reason).toMatchObject({ code: 'SLUICE_LOCK_LOST', why: 'taken' });
      return 'too late';
    });
    await expect(failed).rejects.toMatchObject({ name: 'LockLostError', code: 'SLUICE_LOCK_LOST', lock: 'x' });
    expect(await admin.get('lock:x')).toBe('theirs');
    const error = new Error('of the body');
    const thrown = locks.withLock('y', async () => {
      await admin.del('lock:y');
      throw error;
    });
    await expect(thrown).rejects.toBe(error);
  });

  it('counts a blocked event loop as lost, though Redis was never asked', async () => {
    const locks = await service();
    const seen: boolean[] = [];
    const failed = locks.withLock('x', { ttlMs: 100 }, (lock) => {
      seen.push(lock.held);
      for (const end = performance.now() + 130; performance.now() < end;);
      seen.push(lock.held);
      expect(() => {
        lock.assertHeld();
      }).toThrow('its lease ended');
      expect(lock.signal.aborted).toBe(true);
    });
    await expect(failed).rejects.toMatchObject({ why: 'expired' });
    expect(seen).toEqual([true, false]);
  });
});

describe('a held lock', () => {
  it('is renewed for as long as it is held', async () => {
    const locks = await service();
    const lock = await locks.acquire('x', { ttlMs: 150 });
    const { expiresAt } = lock;
    await until(() => lock.expiresAt > expiresAt + 300, { what: 'it was renewed often', everyMs: 5 });
    expect(lock.held).toBe(true);
    expect(await admin.pttl('lock:x')).toBeGreaterThan(0);
    const short = await locks.acquire('y', { ttlMs: 150, renew: false });
    await until(() => !short.held, { what: 'the other ended' });
    expect(short.signal.reason).toMatchObject({ why: 'expired' });
  });

  it('can be extended and shortened', async () => {
    const locks = await service();
    const lock = await locks.acquire('x', { ttlMs: 500, renew: false });
    await lock.extend(60_000);
    expect(await admin.pttl('lock:x')).toBeGreaterThan(59_000);
    expect(lock.expiresAt - Date.now()).toBeGreaterThan(59_000);
    await lock.extend(100);
    expect(lock.expiresAt - Date.now()).toBeLessThanOrEqual(100);
    await until(() => !lock.held, { what: 'it ended' });
    await expect(lock.extend(1_000)).rejects.toMatchObject({ code: 'SLUICE_LOCK_LOST' });
    const taken = await locks.acquire('y');
    await admin.set('lock:y', 'theirs');
    await expect(taken.extend(1_000)).rejects.toMatchObject({ why: 'taken' });
    expect(taken.held).toBe(false);
  });

  it('is released at the end of its block', async () => {
    const locks = await service();
    {
      await using lock = await locks.acquire('x');
      expect(await admin.get('lock:x')).toBe(lock.owner);
    }
    expect(await admin.exists('lock:x')).toBe(0);
    const lock = await locks.acquire('x');
    await lock.release();
    expect(() => {
      lock.assertHeld();
    }).toThrow('it was released');
    expect(lock.signal.aborted).toBe(false);
  });
});

describe('options', () => {
  it('come from the name, then the call, then the module', async () => {
    const locks = await service({
      lock: { ttlMs: 20_000, waitMs: 50, names: { tuned: { ttlMs: 5_000, waitMs: 0 } } },
    });
    const leases = async (name: string, ttlMs?: number): Promise<number> => {
      const lock = await locks.acquire(name, ttlMs === undefined ? undefined : { ttlMs });
      return Math.round((await admin.pttl(`lock:${lock.name}`)) / 1_000);
    };
    expect([await leases('a'), await leases('b', 9_000), await leases('tuned', 9_000)]).toEqual([20, 9, 5]);
    await expect(locks.acquire('tuned')).rejects.toMatchObject({ waitedMs: 0 });
    await expect(locks.acquire('a')).rejects.toMatchObject({ waitedMs: 50 });
    expect(await locks.acquire('constructor')).toBeInstanceOf(Lock);
  });

  it.each([
    ['', undefined, 'SLUICE_BAD_NAME'],
    [undefined, undefined, 'SLUICE_BAD_NAME'],
    [7, undefined, 'SLUICE_BAD_NAME'],
    ['a{b', undefined, 'SLUICE_BAD_NAME'],
    ['a:~b', undefined, 'SLUICE_BAD_NAME'],
    ['x', { ttlMs: 0 }, 'SLUICE_BAD_OPTION'],
    ['x', { ttlMs: -1 }, 'SLUICE_BAD_OPTION'],
    ['x', { ttlMs: Number.NaN }, 'SLUICE_BAD_OPTION'],
    ['x', { ttlMs: '5' }, 'SLUICE_BAD_OPTION'],
    ['x', { waitMs: -1 }, 'SLUICE_BAD_OPTION'],
    ['x', { renew: 1 }, 'SLUICE_BAD_OPTION'],
    ['x', { owner: '' }, 'SLUICE_BAD_OPTION'],
    ['x', { signal: {} }, 'SLUICE_BAD_OPTION'],
    ['x', { ttl: 5 }, 'SLUICE_BAD_OPTION'],
    ['x', 'fast', 'SLUICE_BAD_OPTION'],
  ])('refuses %p with %p', async (name, options, code) => {
    const locks = await service();
    await expect(locks.acquire(name as string, options as object)).rejects.toMatchObject({ code });
    await expect(locks.tryAcquire(name as string, options as object)).rejects.toMatchObject({ code });
    await expect(locks.withLock(name as string, options as object, () => 0)).rejects.toMatchObject({ code });
    expect(await admin.dbsize()).toBe(0);
  });

  it.each([
    [{ ttlMs: 0 }, 'lock.ttlMs'],
    [{ names: { x: { waitMs: -1 } } }, 'lock.names.x.waitMs'],
    [{ names: [] }, 'lock.names'],
    [{ tll: 1 }, 'lock.tll'],
  ])('refuses %j at boot', async (lock, message) => {
    const { app, connections } = await member();
    expect(() => new LockService(connections, lock as object, app.get(LOCK_STORE), app.get(CronJobs))).toThrow(message);
  });

  it('refuses a lease that is no duration', async () => {
    const lock = await (await service()).acquire('x');
    await expect(lock.extend(0)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    await expect(lock.extend(undefined as unknown as number)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    expect(lock.held).toBe(true);
  });

  it('tells of a key that is no lock', async () => {
    const locks = await service();
    await admin.hset('lock:x', 'a', '1');
    await expect(locks.acquire('x')).rejects.toThrow('WRONGTYPE');
    await expect(locks.tryAcquire('x')).rejects.toThrow('WRONGTYPE');
  });
});

describe('shutdown', () => {
  it('rejects waiters, tells holders, releases everything', async () => {
    const [closing, other] = [await member(), await service()];
    const lock = await closing.locks.acquire('mine');
    await other.acquire('theirs');
    const waiter = closing.locks.acquire('theirs');
    await waiting(1, 'theirs');
    const body = closing.locks.withLock('body', async ({ signal }) => {
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve);
      });
      return 'ended';
    });
    await until(() => admin.exists('lock:body'), { what: 'the body runs' });
    await Promise.all([
      closing.app.close(),
      expect(waiter).rejects.toMatchObject({ code: 'SLUICE_CLOSED' }),
      expect(body).rejects.toMatchObject({ code: 'SLUICE_LOCK_LOST', why: 'closed' }),
    ]);
    expect(lock.held).toBe(false);
    expect(lock.signal.reason).toMatchObject({ why: 'closed' });
    expect(await admin.exists('lock:mine', 'lock:body', '{lock:theirs}:~queue')).toBe(0);
    await expect(closing.locks.acquire('x')).rejects.toMatchObject({ code: 'SLUICE_CLOSED' });
    await expect(closing.locks.tryAcquire('x')).rejects.toMatchObject({ code: 'SLUICE_CLOSED' });
  });

  it('waits a moment for a body, and not for ever', async () => {
    const closing = await member();
    void closing.locks.withLock('x', () => new Promise(() => {}));
    await until(() => admin.exists('lock:x'), { what: 'the body runs' });
    const started = performance.now();
    await closing.app.close();
    expect(performance.now() - started).toBeGreaterThan(900);
    expect(await admin.exists('lock:x')).toBe(0);
  });

  it('does not wait long for a Redis that hangs', async () => {
    const [a, b] = [await lockMember(redis.url), await service()];
    await a.locks.acquire('x');
    await b.acquire('y');
    const waits = a.locks.acquire('y');
    await waiting(1, 'y');
    const refused = expect(waits).rejects.toMatchObject({ code: 'SLUICE_CLOSED' });
    redis.pause();
    try {
      const from = performance.now();
      await Promise.all([a.app.close(), refused]);
      // A release that fails (1 s), its one repetition (1 s), the sockets; by the commands' own deadline it would be 10 s.
      expect(performance.now() - from).toBeLessThan(8_000);
    } finally {
      redis.resume();
    }
  });
});
