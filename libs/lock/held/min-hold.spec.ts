import { describe, expect, it } from '@jest/globals';
import { LockBed } from '../../../test/support/lock-bed.js';
import { until } from '../../../test/support/until.js';
import { SluiceTestingModule } from '../../testing/index.js';
import { Test } from '@nestjs/testing';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { LOCK_CHANNELS, LockService, type LockOverdueMessage } from '../index.js';

const bed = new LockBed();

describe('minHoldMs', () => {
  it('keeps others out past the release, counted from the grant', async () => {
    const [a, b] = [await bed.service(), await bed.service()];
    const from = performance.now();
    const lock = await a.acquire('x', { minHoldMs: 500, ttlMs: 200 });
    await until(() => performance.now() - from > 250, { what: 'some of it has passed' });
    expect(await lock.release()).toBe(true);
    expect(lock.held).toBe(false);
    expect(await b.tryAcquire('x')).toBeNull();
    expect(await bed.admin.pttl('lock:x')).toBeLessThanOrEqual(300);
    const next = await b.acquire('x');
    expect(performance.now() - from).toBeGreaterThanOrEqual(495);
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken);
  });

  it('adds nothing to a hold that was longer', async () => {
    const locks = await bed.service();
    const lock = await locks.acquire('x', { minHoldMs: 30 });
    await until(() => bed.admin.pttl('lock:x').then((left) => left < 29_950), { what: 'it has passed' });
    await lock.release();
    expect(await bed.admin.exists('lock:x')).toBe(0);
  });

  it('is not of those who never held it', async () => {
    const locks = await bed.service();
    await bed.occupy('x');
    await expect(locks.acquire('x', { minHoldMs: 60_000, waitMs: 20 })).rejects.toThrow('not free');
    await bed.admin.del('lock:x');
    expect(await bed.admin.exists('lock:x')).toBe(0);
  });

  it('holds in tests without Redis as well', async () => {
    const app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot({})] }).compile();
    await app.init();
    const locks = app.get(LockService);
    const lock = await locks.acquire('x', { minHoldMs: 2_000 });
    await lock.release();
    expect(await locks.tryAcquire('x')).toBeNull();
    expect((await locks.acquire('x')).held).toBe(true);
    await app.close();
  });
});

describe('maxHoldMs', () => {
  it('is reported, and the lock stays held', async () => {
    const locks = await bed.service();
    const heard: unknown[] = [];
    const hear = (message: unknown): void => void heard.push(message);
    subscribe(LOCK_CHANNELS.overdue, hear);
    try {
      const lock = await locks.acquire('x', { maxHoldMs: 50 });
      const short = await locks.acquire('y', { maxHoldMs: 50 });
      await short.release();
      await until(() => heard.length > 0, { what: 'it is reported', everyMs: 5 });
      expect(lock.held).toBe(true);
      expect(heard).toEqual([
        { name: 'x', owner: lock.owner, fencingToken: lock.fencingToken, maxHoldMs: 50 } satisfies LockOverdueMessage,
      ]);
    } finally {
      unsubscribe(LOCK_CHANNELS.overdue, hear);
    }
  });
});
