import { describe, expect, it } from '@jest/globals';
import { gate } from '../../../test/support/gate.js';
import { LockBed } from '../../../test/support/lock-bed.js';
import { SOON_MS, until } from '../../../test/support/until.js';
import { currentLock } from '../index.js';

const bed = new LockBed();

describe('withLock', () => {
  it('gives the lock to its body, resolves to its result and releases', async () => {
    const locks = await bed.service();
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
    expect(await bed.admin.exists('lock:x')).toBe(0);
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
    const locks = await bed.service();
    const error = new Error('of the body');
    await expect(locks.withLock('x', () => fail(error))).rejects.toBe(error);
    expect(await bed.admin.exists('lock:x')).toBe(0);
  });

  it('rejects when the lock was lost under a body that returned', async () => {
    const locks = await bed.service();
    // A lease that a slow machine renews in time.
    const failed = locks.withLock('x', { ttlMs: 6_000 }, async (lock) => {
      await bed.admin.set('lock:x', 'theirs');
      await new Promise((resolve) => {
        lock.signal.addEventListener('abort', resolve);
      });
      expect(lock.signal.reason).toMatchObject({ code: 'SLUICE_LOCK_LOST', reason: 'taken' });
      return 'too late';
    });
    await expect(failed).rejects.toMatchObject({ name: 'LockLostError', code: 'SLUICE_LOCK_LOST', lock: 'x' });
    expect(await bed.admin.get('lock:x')).toBe('theirs');
    const error = new Error('of the body');
    const thrown = locks.withLock('y', async () => {
      await bed.admin.del('lock:y');
      throw error;
    });
    await expect(thrown).rejects.toBe(error);
  });

  it('is told that a server has lost the lock as soon as it is connected again, long before a renewal is due', async () => {
    const { locks, connections } = await bed.listening();
    const lock = await locks.acquire('x', { ttlMs: 3_600_000 });
    const unrenewed = await locks.acquire('y', { ttlMs: 3_600_000, renew: false });
    const kept = await locks.acquire('z', { ttlMs: 3_600_000 });
    await bed.admin.del('lock:x');
    for (const name of ['y', 'z']) await bed.admin.pexpire(`lock:${name}`, 1_800_000);
    connections.get().commands.reset();
    await until(() => !lock.held, { what: 'it is lost', deadlineMs: SOON_MS });
    expect(lock.signal.reason).toMatchObject({ code: 'SLUICE_LOCK_LOST', reason: 'taken' });
    await until(async () => (await bed.admin.pttl('lock:z')) > 1_800_000, {
      what: 'it is renewed',
      deadlineMs: SOON_MS,
    });
    expect([unrenewed.held, kept.held]).toEqual([true, true]);
    expect(await bed.admin.pttl('lock:y')).toBeLessThanOrEqual(1_800_000);
  });

  it('counts a blocked event loop as lost, though Redis was never asked', async () => {
    const locks = await bed.service();
    const seen: boolean[] = [];
    // So long that it is not over when a slow machine begins.
    const failed = locks.withLock('x', { ttlMs: 2_000 }, (lock) => {
      seen.push(lock.held);
      for (const end = performance.now() + 2_030; performance.now() < end;);
      seen.push(lock.held);
      expect(() => {
        lock.assertHeld();
      }).toThrow('its lease ended');
      expect(lock.signal.aborted).toBe(true);
    });
    await expect(failed).rejects.toMatchObject({ reason: 'expired' });
    expect(seen).toEqual([true, false]);
  });
});

describe('a held lock', () => {
  it('is renewed for as long as it is held', async () => {
    const locks = await bed.service();
    // A lease that a slow machine renews in time.
    const lock = await locks.acquire('x', { ttlMs: 3_000 });
    const { expiresAt } = lock;
    await until(() => lock.expiresAt > expiresAt + 2_500, { what: 'it was renewed more than once', everyMs: 5 });
    expect(lock.held).toBe(true);
    expect(await bed.admin.pttl('lock:x')).toBeGreaterThan(0);
    const short = await locks.acquire('y', { ttlMs: 150, renew: false });
    await until(() => !short.held, { what: 'the other ended' });
    expect(short.signal.reason).toMatchObject({ reason: 'expired' });
  });

  it('can be extended and shortened', async () => {
    const locks = await bed.service();
    const lock = await locks.acquire('x', { ttlMs: 500, renew: false });
    await lock.extend(60_000);
    expect(await bed.admin.pttl('lock:x')).toBeGreaterThan(59_000);
    expect(lock.expiresAt - Date.now()).toBeGreaterThan(59_000);
    await lock.extend(100);
    expect(lock.expiresAt - Date.now()).toBeLessThanOrEqual(100);
    await until(() => !lock.held, { what: 'it ended' });
    await expect(lock.extend(1_000)).rejects.toMatchObject({ code: 'SLUICE_LOCK_LOST' });
    const taken = await locks.acquire('y');
    await bed.admin.set('lock:y', 'theirs');
    await expect(taken.extend(1_000)).rejects.toMatchObject({ reason: 'taken' });
    expect(taken.held).toBe(false);
  });

  it('is released at the end of its block', async () => {
    const locks = await bed.service();
    {
      await using lock = await locks.acquire('x');
      expect(await bed.admin.get('lock:x')).toBe(lock.owner);
    }
    expect(await bed.admin.exists('lock:x')).toBe(0);
    const lock = await locks.acquire('x');
    await lock.release();
    expect(() => {
      lock.assertHeld();
    }).toThrow('it was released');
    expect(lock.signal.aborted).toBe(false);
  });
});

describe('a key that is no lock', () => {
  it('is told', async () => {
    const locks = await bed.service();
    await bed.admin.hset('lock:x', 'a', '1');
    await expect(locks.acquire('x')).rejects.toThrow('WRONGTYPE');
    await expect(locks.tryAcquire('x')).rejects.toThrow('WRONGTYPE');
  });
});

describe('shutdown', () => {
  it('rejects waiters, tells holders, releases everything', async () => {
    const [closing, other] = [await bed.member(), await bed.service()];
    const lock = await closing.locks.acquire('mine');
    await other.acquire('theirs');
    const waiter = closing.locks.acquire('theirs');
    await bed.waiting(1, 'theirs');
    // The key in Redis comes before this process knows that it has the lock.
    const begun = gate();
    const body = closing.locks.withLock('body', async ({ signal }) => {
      begun.open();
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve);
      });
      return 'ended';
    });
    await begun.opened;
    await Promise.all([
      closing.app.close(),
      expect(waiter).rejects.toMatchObject({ code: 'SLUICE_CLOSED' }),
      expect(body).rejects.toMatchObject({ code: 'SLUICE_LOCK_LOST', reason: 'closed' }),
    ]);
    expect(lock.held).toBe(false);
    expect(lock.signal.reason).toMatchObject({ reason: 'closed' });
    for (const key of ['lock:mine', 'lock:body', '{lock:theirs}:~queue']) expect(await bed.admin.exists(key)).toBe(0);
    await expect(closing.locks.acquire('x')).rejects.toMatchObject({ code: 'SLUICE_CLOSED' });
    await expect(closing.locks.tryAcquire('x')).rejects.toMatchObject({ code: 'SLUICE_CLOSED' });
  });

  it('waits a moment for a body, and not for ever', async () => {
    const closing = await bed.member();
    const begun = gate();
    void closing.locks.withLock('x', () => {
      begun.open();
      return new Promise(() => {});
    });
    await begun.opened;
    const started = performance.now();
    await closing.app.close();
    expect(performance.now() - started).toBeGreaterThan(900);
    expect(await bed.admin.exists('lock:x')).toBe(0);
  });
});
