import { describe, expect, it } from '@jest/globals';
import { Injectable, Scope } from '@nestjs/common';
import { gate } from '../../../test/support/gate.js';
import { LockBed } from '../../../test/support/lock-bed.js';
import { WithLock, currentLock } from '../index.js';

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

@Injectable()
class Ledger {
  @WithLock('x')
  async write(): Promise<string> {
    return 'written';
  }
}

@Injectable({ scope: Scope.TRANSIENT })
class Copy {
  constructor(readonly ledger: Ledger) {}

  @WithLock('x')
  async run(inner: () => Promise<unknown>): Promise<unknown> {
    return inner();
  }
}

describe('the lock of a body is refused to a call inside it', () => {
  const copies = async () => {
    const { app } = await bed.member({ module: { providers: [Copy, Ledger] } });
    return { one: await app.resolve(Copy), other: await app.resolve(Copy), ledger: app.get(Ledger) };
  };

  it('of another class, of another object, through a proxy, later, and behind timers', async () => {
    const { one, other, ledger } = await copies();
    const proxy = new Proxy(ledger, {});
    const inners: Record<string, () => Promise<unknown>> = {
      'another class': () => ledger.write(),
      'a proxy': () => proxy.write(),
      'another object': () => other.run(() => Promise.resolve()),
      'a timer': () => new Promise((resolve) => setTimeout(resolve, 5)).then(() => ledger.write()),
      'a listener': () =>
        new Promise((resolve, reject) => {
          queueMicrotask(() => void ledger.write().then(resolve, reject));
        }),
      'one of several': () => Promise.all([Promise.resolve(), ledger.write()]),
    };
    for (const [what, inner] of Object.entries(inners)) {
      await expect(one.run(inner).catch((error: unknown) => ({ what, error }))).resolves.toEqual({
        what,
        error: expect.objectContaining(HELD_BY_CALLER),
      });
    }
    expect(await bed.admin.exists('lock:x', '{lock:x}:~queue')).toBe(0);
  });

  it('but not to work that the body left behind, once the lock is released or lost', async () => {
    const { one, ledger } = await copies();
    const released = gate();
    let left!: Promise<unknown>;
    await one.run(() => {
      left = released.opened.then(() => ledger.write());
      return Promise.resolve();
    });
    released.open();
    expect(await left).toBe('written');
    const locks = await bed.service();
    const outcome = locks.withLock('x', async () => {
      await bed.admin.del('lock:x');
      await locks.forceRelease('x');
      await expect(locks.acquire('x')).rejects.toMatchObject(HELD_BY_CALLER);
      await bed.admin.set('lock:x', 'other', 'PX', 60_000);
      await currentLock()!
        .extend(30_000)
        .catch(() => {});
      await bed.admin.del('lock:x');
      expect((await locks.acquire('x')).held).toBe(true);
    });
    await expect(outcome).rejects.toMatchObject({ code: 'SLUICE_LOCK_LOST', reason: 'taken' });
  });

  it('and not to calls of others at the same time', async () => {
    const { one, ledger } = await copies();
    const [begun, ends] = [gate(), gate()];
    const run = one.run(async () => {
      begun.open();
      await ends.opened;
    });
    await begun.opened;
    const write = ledger.write();
    ends.open();
    await run;
    expect(await write).toBe('written');
  });
});

it('withLock takes no lock without a body', async () => {
  const locks = await bed.service();
  await expect(locks.withLock('x', {} as () => number)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  expect(await bed.admin.dbsize()).toBe(0);
});
