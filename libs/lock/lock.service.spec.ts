import { describe, expect, it } from '@jest/globals';
import { commandDelta } from '../../test/support/command-delta.js';
import { LockBed } from '../../test/support/lock-bed.js';
import { lockMember } from '../../test/support/lock-member.js';
import { itOnOneServer } from '../../test/support/one-server.js';
import { until } from '../../test/support/until.js';
import { Lock } from './index.js';

const bed = new LockBed();

describe('exclusion', () => {
  it('has one holder at a time, in whatever process', async () => {
    const [a, b] = [await bed.service(), await bed.service()];
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
    const locks = await bed.service();
    const lock = await locks.acquire('x', { owner: 'me' });
    expect(await bed.admin.get('lock:x')).toBe('me');
    expect(await locks.tryAcquire('x', { owner: 'me' })).toBeNull();
    await lock.release();
    expect(await locks.tryAcquire('x', { owner: 'me' })).not.toBeNull();
    expect(await lock.release()).toBe(true);
    expect(await bed.admin.get('lock:x')).toBe('me');
  });

  it('excludes clients of the plain recipe, and is excluded by them', async () => {
    const locks = await bed.service();
    const lock = await locks.acquire('x', { owner: 'ours' });
    expect(await bed.admin.set('lock:x', 'theirs', 'PX', 1_000, 'NX')).toBeNull();
    await lock.release();
    expect(await bed.admin.set('lock:x', 'theirs', 'PX', 60_000, 'NX')).toBe('OK');
    expect(await locks.tryAcquire('x')).toBeNull();
    await expect(locks.acquire('x', { waitMs: 0 })).rejects.toMatchObject({ holder: { owner: 'theirs' } });
    const waiter = locks.acquire('x', { waitMs: 5_000 });
    await bed.waiting(1);
    await bed.admin.del('lock:x');
    expect((await waiter).held).toBe(true);
  });

  it('releases what is its own, and never the next one', async () => {
    const [a, b] = [await bed.service(), await bed.service()];
    const first = await a.acquire('x', { ttlMs: 100, renew: false });
    const second = await b.acquire('x');
    expect(first.held).toBe(false);
    expect(await first.release()).toBe(false);
    expect(await first.release()).toBe(false);
    expect(second.held).toBe(true);
    expect(await bed.admin.get('lock:x')).toBe(second.owner);
  });

  it('works in a namespace of its own, and by names with a hash tag', async () => {
    const [a, b] = [await bed.service({ namespace: 'shop' }), await bed.service()];
    await a.acquire('{tenant}:x');
    expect(await b.tryAcquire('{tenant}:x')).not.toBeNull();
    expect((await bed.admin.keys('*')).sort()).toEqual(
      ['', ':~fence'].flatMap((side) => [`lock:{tenant}:x${side}`, `shop:lock:{tenant}:x${side}`]).sort(),
    );
  });
});

describe('fencing tokens', () => {
  it('increase from holder to holder, are kept for an hour, and survive their loss', async () => {
    const locks = await bed.service();
    const tokens: number[] = [];
    const take = (): Promise<void> => locks.withLock('x', ({ fencingToken }) => void tokens.push(fencingToken));
    await take();
    await bed.admin.set('{lock:x}:~fence', String(tokens[0]! + 3_600_000_000));
    await take();
    await take();
    expect(tokens[2]).toBe(tokens[1]! + 1);
    expect(tokens[1]).toBe(tokens[0]! + 3_600_000_001);
    expect(await bed.admin.pttl('{lock:x}:~fence')).toBeGreaterThan(3_590_000);
    await bed.admin.del('{lock:x}:~fence');
    await take();
    expect(tokens[3]).toBeGreaterThan(tokens[0]!);
    expect(tokens.every(Number.isSafeInteger)).toBe(true);
  });

  it.each(['99', 'none of ours'])('are the time where the fence has %p', async (odd) => {
    const locks = await bed.service();
    await bed.admin.set('{lock:x}:~fence', odd);
    const from = Date.now() * 1_000;
    const { fencingToken } = await locks.acquire('x');
    expect(fencingToken).toBeGreaterThan(from - 1_000_000);
    expect(await bed.admin.get('{lock:x}:~fence')).toBe(String(fencingToken));
  });
});

describe('what it leaves and costs', () => {
  it('leaves fences that expire, and nothing else', async () => {
    const [a, b] = [await bed.service(), await bed.service()];
    await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? a : b).withLock(`n${i % 4}`, () => i)));
    const keys = await bed.admin.keys('*');
    expect(keys.sort()).toEqual([0, 1, 2, 3].map((i) => `{lock:n${i}}:~fence`));
    for (const key of keys) expect(await bed.admin.pttl(key)).toBeGreaterThan(0);
  });

  it('leaves no more of a lock that was extended', async () => {
    const locks = await bed.service();
    const lock = await locks.acquire('x');
    await lock.extend(60_000);
    expect(await bed.admin.exists('{lock:x}:~holder')).toBe(1);
    expect(await lock.release()).toBe(true);
    expect(await bed.admin.keys('*')).toEqual(['{lock:x}:~fence']);
  });

  it('sends two commands for an uncontended pair', async () => {
    const locks = await bed.service();
    await locks.withLock('x', () => 0);
    const { calls } = await commandDelta(bed.admin, async () => {
      for (let i = 0; i < 10; i++) await locks.withLock('x', () => 0);
    });
    // The inbox asks its socket whether it lives, once a second.
    expect(calls['evalsha']).toBe(20);
    expect(calls['eval'] ?? 0).toBe(0);
  });

  it('sends two commands for a wait: one to join the queue, one to claim', async () => {
    const [a, b] = [await bed.service(), await bed.listening()];
    const locks = await Promise.all(Array.from({ length: 10 }, (_, i) => a.acquire(`n${i}`)));
    await b.locks.withLock('warm', () => 0);
    const from = performance.now();
    const { calls, result } = await commandDelta(bed.admin, async () => {
      const all = locks.map(({ name }) => b.locks.acquire(name));
      for (const { name } of locks) await bed.waiting(1, name);
      for (const lock of locks) await lock.release();
      const granted = await Promise.all(all);
      await until(() => granted.every(({ expiresAt }) => expiresAt - Date.now() > 25_000), { what: 'all are claimed' });
      return granted;
    });
    // Ten joins, ten releases, at most ten claims; and a heartbeat whenever a second begins.
    const heartbeats = 2 + Math.floor((performance.now() - from) / 1_000);
    expect(calls['evalsha']).toBeGreaterThanOrEqual(20);
    expect(calls['evalsha']).toBeLessThanOrEqual(30 + heartbeats);
    expect(result).toHaveLength(10);
  });

  itOnOneServer('sends nothing while it waits but one heartbeat per second for all locks', async () => {
    const [a, b] = [await bed.service(), await bed.service()];
    const held = await Promise.all(Array.from({ length: 20 }, (_, i) => a.acquire(`n${i}`)));
    const lock = await a.acquire('x');
    const waiters = Array.from({ length: 30 }, () => b.withLock('x', () => 0));
    for (const { name } of held) waiters.push(b.withLock(name, () => 0));
    await bed.waiting(30);
    const from = performance.now();
    const { calls } = await commandDelta(bed.admin, async () => {
      await until(() => performance.now() - from > 2_100, { what: 'two heartbeats were due' });
    });
    expect(calls['evalsha']).toBeLessThanOrEqual(1 + Math.floor((performance.now() - from) / 1_000));
    expect(calls['evalsha']).toBeGreaterThanOrEqual(1);
    await Promise.all([lock, ...held].map((each) => each.release()));
    await Promise.all(waiters);
  });
});

describe('waiting', () => {
  it('is served first come, first served, across processes, without a gap', async () => {
    const fleet = [await bed.service(), await bed.service(), await bed.service()];
    const lock = await fleet[0]!.acquire('x');
    const order: number[] = [];
    const all: Promise<unknown>[] = [];
    for (let i = 0; i < 12; i++) {
      all.push(fleet[i % 3]!.withLock('x', () => void order.push(i)));
      await bed.waiting(i + 1);
    }
    const from = performance.now();
    await lock.release();
    await Promise.all(all);
    const tookMs = performance.now() - from;
    expect(order).toEqual(Array.from({ length: 12 }, (_, i) => i));
    const fromControl = performance.now();
    for (let i = 0; i < 12; i++) await fleet[i % 3]!.withLock('another', () => 0);
    const controlMs = performance.now() - fromControl;
    // Twelve pushes, of which each takes a millisecond or two; a heartbeat would take up to a second.
    expect(tookMs).toBeLessThan(850 + 3 * controlMs);
  });

  it('times out with who holds it and since when, and leaves the queue', async () => {
    const [holder, locks] = [await bed.member(), await bed.service()];
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
    expect(await bed.admin.exists('{lock:x}:~queue', '{lock:x}:~waiters')).toBe(0);
  });

  it('ends with the reason of its signal', async () => {
    const locks = await bed.service();
    await locks.acquire('x');
    const reason = new Error('enough');
    const controller = new AbortController();
    const waiter = locks.acquire('x', { signal: controller.signal });
    await bed.waiting(1);
    controller.abort(reason);
    await expect(waiter).rejects.toBe(reason);
    await bed.waiting(0);
    await expect(locks.acquire('y', { signal: controller.signal })).rejects.toBe(reason);
    await expect(locks.tryAcquire('y', { signal: controller.signal })).rejects.toBe(reason);
    expect(await bed.admin.exists('lock:y')).toBe(0);
  });

  it('of many who give up, and many who do not, loses none', async () => {
    const fleet = [await bed.service(), await bed.service()];
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
    expect(await bed.admin.keys('*')).toEqual(['{lock:x}:~fence']);
  });

  it('does not wait long for a Redis that hangs', async () => {
    const [a, b] = [await lockMember(bed.redis.url), await bed.service()];
    await a.locks.acquire('x');
    await b.acquire('y');
    const waits = a.locks.acquire('y');
    await bed.waiting(1, 'y');
    const refused = expect(waits).rejects.toMatchObject({ code: 'SLUICE_CLOSED' });
    bed.redis.pause();
    try {
      const from = performance.now();
      await Promise.all([a.app.close(), refused]);
      // A release that fails (1 s), its one repetition (1 s), the sockets; by the commands' own deadline it would be 10 s.
      expect(performance.now() - from).toBeLessThan(8_000);
    } finally {
      bed.redis.resume();
    }
  });
});
