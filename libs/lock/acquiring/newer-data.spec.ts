import { describe, expect, it } from '@jest/globals';
import { LockBed } from '../../../test/support/lock-bed.js';
import { until } from '../../../test/support/until.js';

const bed = new LockBed();
const USES = '{lock:x}:~uses';
const NEWER = { code: 'SLUICE_NEWER_DATA', key: 'lock:x', uses: [{ feature: 'read-write', since: '0.4.0' }] };
const plant = (): Promise<unknown> => bed.admin.hset(USES, 'read-write', '0.4.0');
const TICK = { method: 'Job.run', instantMs: 1, keepMs: 60_000 };

describe('a lock with data of a newer release', () => {
  it.each([
    ['free', () => Promise.resolve()],
    ['held', () => bed.occupy('x')],
  ])('that is %s is granted to no call, and no call waits for it', async (_, prepare) => {
    const { locks } = await bed.listening();
    await prepare();
    await plant();
    const before = await bed.admin.get('lock:x');
    await expect(locks.acquire('x')).rejects.toMatchObject(NEWER);
    await expect(locks.acquire('x', { owner: 'me' })).rejects.toMatchObject(NEWER);
    await expect(locks.tryAcquire('x')).rejects.toMatchObject(NEWER);
    await expect(locks.acquireTick('x', TICK, {})).rejects.toMatchObject(NEWER);
    await expect(locks.forceRelease('x')).rejects.toMatchObject(NEWER);
    const ran: string[] = [];
    await expect(locks.withLock('x', () => void ran.push('body'))).rejects.toMatchObject(NEWER);
    expect(ran).toEqual([]);
    expect(await bed.admin.get('lock:x')).toBe(before);
    await until(async () => (await bed.admin.exists('{lock:x}:~queue', '{lock:x}:~waiters')) === 0, {
      what: 'nobody waits',
    });
    await bed.admin.del(USES, 'lock:x');
    await (await locks.acquire('x', { waitMs: 0 })).release();
  });

  it('fails those who wait already with their next heartbeat, and no others', async () => {
    const { locks } = await bed.listening();
    await bed.occupy('x');
    await bed.occupy('y');
    const refused = [locks.acquire('x', { waitMs: 60_000 }), locks.acquire('x', { waitMs: 60_000 })];
    const outcomes = Promise.allSettled(refused);
    const other = locks.acquire('y', { waitMs: 60_000 });
    await bed.waiting(2);
    await bed.waiting(1, 'y');
    await plant();
    expect(await outcomes).toMatchObject(refused.map(() => ({ status: 'rejected', reason: NEWER })));
    await bed.waiting(0);
    await bed.admin.del('lock:y');
    await (await other).release();
  });

  it('is kept and released by the acquisition that holds it, which hands it to no waiter', async () => {
    const { locks } = await bed.listening();
    const held = await locks.acquire('x', { ttlMs: 900 });
    const other = (await bed.listening()).locks;
    const waiting = other.acquire('x', { waitMs: 60_000 });
    waiting.catch(() => {});
    await bed.waiting(1);
    await plant();
    // A waiter of the newer release, which this one knows nothing of.
    await bed.admin.zadd('{lock:x}:~queue', '1', 'reader');
    await bed.admin.hset('{lock:x}:~waiters', 'reader', `${Date.now()} 30000 0 2;mode=r xy`);
    let least = Infinity;
    const renewed = async (): Promise<boolean> => {
      const leftMs = await bed.admin.pttl('lock:x');
      least = Math.min(least, leftMs);
      return leftMs > least + 100;
    };
    await until(renewed, { what: 'it was renewed', everyMs: 5 });
    expect(held.held).toBe(true);
    expect(await held.release()).toBe(true);
    expect(await bed.admin.exists('lock:x')).toBe(0);
    expect(String(await bed.admin.zscore('{lock:x}:~queue', 'reader'))).toBe('1');
    await expect(waiting).rejects.toMatchObject(NEWER);
    expect(await bed.admin.get('lock:x')).toBeNull();
    expect(await bed.admin.hget('{lock:x}:~waiters', 'reader')).toMatch(/mode=r/);
  });

  it('tells an acquisition that holds it already so, where its answer was lost', async () => {
    const { locks } = await bed.listening();
    await bed.occupy('x');
    const waiting = locks.acquire('x', { waitMs: 60_000 });
    await bed.waiting(1);
    const [nonce = ''] = await bed.admin.zrange('{lock:x}:~queue', '0', '-1');
    // As a process of the newer release grants it, and its push is lost.
    await bed.admin
      .multi()
      .hset(USES, 'read-write', '0.4.0')
      .zrem('{lock:x}:~queue', nonce)
      .hdel('{lock:x}:~waiters', nonce)
      .set('lock:x', nonce, 'PX', 30_000)
      .exec();
    const lock = await waiting;
    expect(lock.owner).toBe(nonce);
    await lock.release();
  });
});

describe('further fields of a newer release', () => {
  it("in a waiter's record are passed over: it gets its turn, and is shown", async () => {
    const { locks } = await bed.listening();
    const held = await locks.acquire('x');
    const other = await bed.listening();
    const waiting = other.locks.acquire('x', { waitMs: 60_000 });
    await bed.waiting(1);
    const [nonce = ''] = await bed.admin.hkeys('{lock:x}:~waiters');
    const record = (await bed.admin.hget('{lock:x}:~waiters', nonce)) ?? '';
    await bed.admin.hset('{lock:x}:~waiters', nonce, record.replace(/^(\d+ \d+ \d+ \d+)/, '$1;mode=w;weight=1'));
    expect((await locks.inspect('x'))?.waiters).toMatchObject([{ owner: nonce }]);
    await held.release();
    // In the step of the release, and not with its next heartbeat.
    expect(await bed.admin.get('lock:x')).toBe(nonce);
    expect((await waiting).owner).toBe(nonce);
  });

  it("in the holder's record are passed over: it is shown, and can be taken away", async () => {
    const { locks } = await bed.listening();
    const lock = await locks.acquire('x', { owner: 'me' });
    const record = (await bed.admin.get('{lock:x}:~holder')) ?? '';
    await bed.admin.set('{lock:x}:~holder', record.replace(/^(\S+ \d+)/, '$1;phase=2'), 'KEEPTTL');
    expect(await locks.inspect('x')).toMatchObject({ owner: 'me', fencingToken: lock.fencingToken });
    await lock.extend(20_000);
    await bed.admin.set('{lock:x}:~holder', record.replace(/^(\S+ \d+)/, '$1;phase=2'), 'KEEPTTL');
    await (await bed.service()).forceRelease('x');
    await until(() => lock.signal.aborted, { what: 'its holder is told' });
    expect(lock.signal.reason).toMatchObject({ reason: 'forced' });
  });
});
