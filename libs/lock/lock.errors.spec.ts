import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { itOnPlainRedis } from '../../test/support/cluster-mode.js';
import { LockBed } from '../../test/support/lock-bed.js';
import { lockMember } from '../../test/support/lock-member.js';
import { until } from '../../test/support/until.js';
import { startRedis } from '../testing/index.js';
import { WithLock, type LockLostError, type LockTimeoutError } from './index.js';

const bed = new LockBed();

@Injectable()
class Nested {
  readonly ran: string[] = [];

  @WithLock('outer', { onBusy: 'skip' })
  async skips(): Promise<string | undefined> {
    this.ran.push('skips');
    return this.inner();
  }

  @WithLock('outer', { onBusy: () => 'fallback' })
  async replaces(): Promise<string> {
    this.ran.push('replaces');
    return this.inner();
  }

  @WithLock('inner', { waitMs: 0 })
  async inner(): Promise<string> {
    return Promise.resolve('inner ran');
  }

  @WithLock('outer', { onBusy: 'skip', waitMs: 0 })
  @WithLock('inner', { waitMs: 0 })
  async stacked(): Promise<string | undefined> {
    return Promise.resolve('ran');
  }

  @WithLock('inner', { onBusy: 'skip', waitMs: 0 })
  @WithLock('outer', { waitMs: 0 })
  async stackedTheOtherWay(): Promise<string | undefined> {
    return Promise.resolve('ran');
  }
}

describe("a nested lock's error is not taken for one's own", () => {
  const timeoutOfInner = { code: 'SLUICE_LOCK_TIMEOUT', lock: 'inner', holder: { owner: 'somebody' } };

  it.each(['skips', 'replaces', 'stacked'] as const)('when it times out: %s', async (method) => {
    const nested = await bed.boot(Nested);
    await bed.occupy('inner');
    await expect(nested[method]()).rejects.toMatchObject(timeoutOfInner);
    // The outer lock was taken, and is given back.
    expect(await bed.admin.exists('lock:outer')).toBe(0);
    expect(await nested.stackedTheOtherWay()).toBeUndefined();
  });

  it('when it was lost: the outer call rejects with that very error, and its own lock was held all the time', async () => {
    const { locks } = await bed.listening();
    let innerError: unknown;
    let heldAfterwards: boolean | undefined;
    const outer = locks.withLock('outer', async (lock) => {
      try {
        await locks.withLock('inner', async ({ signal }) => {
          await locks.forceRelease('inner');
          await until(() => signal.aborted, { what: 'the inner lock is lost', everyMs: 1 });
        });
      } catch (error) {
        innerError = error;
        heldAfterwards = lock.held;
        throw error;
      }
    });
    const error = (await outer.catch((reason: unknown) => reason)) as LockLostError;
    expect(error).toBe(innerError);
    expect(error).toMatchObject({ code: 'SLUICE_LOCK_LOST', lock: 'inner', reason: 'forced' });
    expect(heldAfterwards).toBe(true);
  });

  it('when it was lost and the body goes on: only the inner signal aborts, the outer call resolves', async () => {
    const { locks } = await bed.listening();
    const aborted = await locks.withLock('outer', async (outer) => {
      const inner = await locks.acquire('inner');
      const { signal } = inner;
      await locks.forceRelease('inner');
      await until(() => signal.aborted, { what: 'the inner lock is lost', everyMs: 1 });
      return outer.signal.aborted;
    });
    expect(aborted).toBe(false);
  });
});

describe('errors say which lock, who, and since when', () => {
  it('a timeout: the holder', async () => {
    const [a, b] = [await bed.service(), await bed.service()];
    const lock = await a.acquire('x', { owner: 'me' });
    const error = (await b.acquire('x', { waitMs: 20 }).catch((reason: unknown) => reason)) as LockTimeoutError;
    const { holder } = error;
    expect(error).toMatchObject({ name: 'LockTimeoutError', code: 'SLUICE_LOCK_TIMEOUT', lock: 'x', waitedMs: 20 });
    expect(holder).toMatchObject({ owner: 'me', fencingToken: lock.fencingToken });
    expect(error.message).toBe(
      `lock 'x' was not free within 20 ms: held by 'me' of process ${holder?.process} since ${holder?.since?.toISOString()}`,
    );
  });

  it('a loss: whose hold it was, and from when', async () => {
    const { locks } = await bed.listening();
    const before = Date.now();
    const lock = await locks.acquire('x', { owner: 'me' });
    await locks.forceRelease('x');
    await until(() => !lock.held, { what: 'it is lost', everyMs: 1 });
    const error = lock.signal.reason as LockLostError;
    expect(error).toMatchObject({ name: 'LockLostError', lock: 'x', owner: 'me', reason: 'forced' });
    expect(error.since.getTime()).toBeGreaterThanOrEqual(before);
    expect(error.since.getTime()).toBeLessThanOrEqual(Date.now());
    expect(error.message).toBe(
      `lock 'x', held by 'me' since ${error.since.toISOString()}, is not held any more: it was taken away by forceRelease()`,
    );
  });

  it('an outage: the lock, what was asked for, and what Redis said', async () => {
    const server = await startRedis();
    const { locks, app } = await lockMember(server.url, { commandTimeoutMs: 200 });
    try {
      const lock = await locks.acquire('held');
      server.pause();
      const down = { name: 'LockUnavailableError', code: 'SLUICE_REDIS_UNAVAILABLE' };
      const cause = expect.objectContaining({ name: 'RedisUnavailableError' });
      await Promise.all([
        expect(locks.acquire('x', { waitMs: 0 })).rejects.toMatchObject({
          ...down,
          lock: 'x',
          action: 'acquire',
          cause,
        }),
        expect(locks.acquire('y', { waitMs: 20 })).rejects.toMatchObject({ ...down, lock: 'y', action: 'acquire' }),
        expect(locks.tryAcquire('x')).rejects.toThrow(/^could not acquire lock 'x': Redis connection 'default'/),
        expect(lock.extend(1_000)).rejects.toMatchObject({ ...down, lock: 'held', action: 'extend' }),
      ]);
      await expect(lock.release()).rejects.toMatchObject({
        ...down,
        lock: 'held',
        action: 'release',
      });
    } finally {
      server.resume();
      await app.close();
      await server.stop();
    }
  });

  itOnPlainRedis('a server that is a replica now refuses, and nothing of it is unknown', async () => {
    const server = await startRedis();
    const { locks, app } = await lockMember(server.url);
    try {
      await server.ask((client) => client.replicaof('127.0.0.1', 1));
      const error: unknown = await locks.tryAcquire('x').catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'SLUICE_REDIS_UNAVAILABLE', lock: 'x', outcome: 'not-sent' });
      expect((error as Error).message).toContain('READONLY');
    } finally {
      await app.close();
      await server.stop();
    }
  });
});
