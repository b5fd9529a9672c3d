import { describe, expect, it } from '@jest/globals';
import { LockBed } from '../../../test/support/lock-bed.js';
import { lockMember } from '../../../test/support/lock-member.js';
import { textOf } from '../../../test/support/one-server.js';
import { until } from '../../../test/support/until.js';
import { startRedis } from '../../testing/index.js';
import { acquireTickScript } from '../store/scripts/acquire-tick.script.js';

const bed = new LockBed();

describe('while Redis is away', () => {
  it('gives back what was granted without an answer, though it could not be asked again', async () => {
    const { locks, connections } = await bed.listening();
    await bed.admin.script('LOAD', textOf(acquireTickScript));
    bed.redis.pause();
    const tick = { method: 'A.b', instantMs: Date.now(), keepMs: 60_000 };
    const failed = expect(locks.acquireTick('x', tick, { waitMs: 600, ttlMs: 300_000 })).rejects.toMatchObject({
      outcome: 'not-sent',
    });
    // The request leaves with the end of this turn, then its socket dies.
    await new Promise((resolve) => setImmediate(resolve));
    connections.get().commands.reset();
    await failed;
    bed.redis.resume();
    await until(async () => (await bed.admin.exists('{lock:x}:~tick:A.b')) === 1, {
      what: 'it is granted',
      everyMs: 2,
    });
    await until(async () => (await bed.admin.exists('lock:x')) === 0, { what: 'it is given back' });
  });

  it('does not take a slow answer for a busy lock', async () => {
    const server = await startRedis();
    const { locks, app } = await lockMember(server.url);
    try {
      await locks.withLock('x', () => 0);
      server.pause();
      const free = locks.acquire('x', { waitMs: 20 });
      const other = locks.acquire('x', { waitMs: 20 });
      const from = performance.now();
      await until(() => performance.now() - from > 100, { what: 'the time of both waits is over', everyMs: 5 });
      server.resume();
      expect((await free).held).toBe(true);
      await expect(other).rejects.toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT' });
      server.pause();
      await expect(locks.acquire('y', { waitMs: 20 })).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE' });
    } finally {
      server.resume();
      await app.close();
      await server.stop();
    }
  });

  it('waits for it, and rejects with what is wrong when the time is over', async () => {
    const server = await startRedis();
    const { locks, app } = await lockMember(server.url);
    try {
      await server.kill();
      await until(async () => (await locks.tryAcquire('x').catch(() => 'down')) === 'down', { what: 'it is down' });
      await expect(locks.acquire('x', { waitMs: 250 })).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE' });
      const waiter = locks.acquire('x', { waitMs: 20_000 });
      await server.restart();
      expect((await waiter).held).toBe(true);
    } finally {
      await app.close();
      await server.stop();
    }
  });

  it('runs a tick when it is back', async () => {
    const server = await startRedis();
    const { locks, app } = await lockMember(server.url);
    try {
      await server.kill();
      const tick = { method: 'Job.run', instantMs: 1, keepMs: 60_000 };
      await expect(locks.acquireTick('x', tick, { waitMs: 0 })).rejects.toMatchObject({
        code: 'SLUICE_REDIS_UNAVAILABLE',
      });
      const taken = locks.acquireTick('x', tick, { waitMs: 20_000 });
      await server.restart();
      await (await taken)?.release();
      expect(await locks.acquireTick('x', tick, {})).toBeNull();
      expect(await locks.acquireTick('x', { ...tick, instantMs: 0 }, {})).toBeNull();
      expect(await locks.acquireTick('x', { ...tick, instantMs: 2 }, {})).not.toBeNull();
    } finally {
      await app.close();
      await server.stop();
    }
  });

  it('loses the lock on time, and takes it again when Redis is back', async () => {
    const server = await startRedis();
    const { locks, app } = await lockMember(server.url, { commandTimeoutMs: 300 });
    try {
      const lock = await locks.acquire('x', { ttlMs: 400 });
      const aborted = new Promise<number>((resolve) => {
        lock.signal.addEventListener('abort', () => {
          resolve(Date.now() - lock.expiresAt);
        });
      });
      server.pause();
      const late = await aborted;
      expect(late).toBeGreaterThanOrEqual(0);
      expect(late).toBeLessThan(150);
      expect(lock.held).toBe(false);
      server.resume();
      const next = await locks.acquire('x');
      expect(next.fencingToken).toBeGreaterThan(lock.fencingToken);
    } finally {
      server.resume();
      await app.close();
      await server.stop();
    }
  });

  it('hides nothing of the body behind a release that fails, and releases later', async () => {
    const server = await startRedis();
    const { locks, app } = await lockMember(server.url, { commandTimeoutMs: 300 });
    try {
      const ran = locks.withLock('x', { ttlMs: 60_000 }, () => {
        server.pause();
        return 'done';
      });
      expect(await ran).toBe('done');
      server.resume();
      const again = await locks.acquire('x', { waitMs: 5_000 });
      expect(again.held).toBe(true);
    } finally {
      server.resume();
      await app.close();
      await server.stop();
    }
  });
});
