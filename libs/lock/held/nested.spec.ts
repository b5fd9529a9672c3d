import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { LockBed } from '../../../test/support/lock-bed.js';
import { WithLock } from '../index.js';

const bed = new LockBed();
const HELD_BY_CALLER = { code: 'SLUICE_LOCK_HELD_BY_CALLER' };

@Injectable()
class Nested {
  @WithLock('x')
  async outer(): Promise<string | undefined> {
    return this.between();
  }

  @WithLock('y')
  async between(): Promise<string | undefined> {
    return this.inner();
  }

  @WithLock('x', { onBusy: 'skip' })
  async inner(): Promise<string | undefined> {
    return Promise.resolve('ran');
  }
}

describe('the lock of the body around it', () => {
  it('is refused at once, and never skipped', async () => {
    const nested = await bed.boot(Nested);
    await expect(nested.outer()).rejects.toMatchObject(HELD_BY_CALLER);
    expect(await nested.inner()).toBe('ran');
  });

  it('is refused to every way of taking it', async () => {
    const locks = await bed.service();
    await locks.withLock('x', async () => {
      await expect(locks.acquire('x')).rejects.toMatchObject(HELD_BY_CALLER);
      await expect(locks.acquire('x', { waitMs: 0 })).rejects.toMatchObject(HELD_BY_CALLER);
      await expect(locks.tryAcquire('x')).rejects.toMatchObject(HELD_BY_CALLER);
      await expect(locks.withLock('x', () => 0)).rejects.toMatchObject(HELD_BY_CALLER);
      await expect(locks.oncePerTick('x', 1, () => 0)).rejects.toMatchObject(HELD_BY_CALLER);
      expect(await locks.withLock('y', () => 1)).toBe(1);
    });
  });

  it('may be taken once it is released, and on another Redis or in another namespace', async () => {
    const [locks, other] = [await bed.service(), await bed.service({ namespace: 'other' })];
    await locks
      .withLock('x', async (lock) => {
        expect(await other.withLock('x', () => 1)).toBe(1);
        await lock.release();
        expect(await locks.withLock('x', () => 2)).toBe(2);
      })
      .catch(() => {});
  });
});

it('withLock takes no lock without a body', async () => {
  const locks = await bed.service();
  await expect(locks.withLock('x', {} as () => number)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  expect(await bed.admin.dbsize()).toBe(0);
});
