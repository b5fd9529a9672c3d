import { describe, expect, it } from '@jest/globals';
import { LockBed } from '../../../test/support/lock-bed.js';
import type { LockMember } from '../../../test/support/lock-member.js';
import type { Lock } from '../index.js';
import { LockKeyCache } from '../store/lock-key-cache.js';
import type { LockRequest } from '../store/lock-request.js';
import type { LockStore } from '../store/lock.store.js';
import { LOCK_STORE } from '../lock.tokens.js';

const bed = new LockBed();
const pttl = (): Promise<number> => bed.admin.pttl('lock:x');

/** What lay in the buffer of a dead socket, and is executed only now: the requests of a lock, sent by hand. */
function late({ app, connections }: LockMember, { name, owner }: Pick<Lock, 'name' | 'owner'>, nonce = owner) {
  const store = app.get<LockStore>(LOCK_STORE);
  const keys = new LockKeyCache(connections.keyspace).get(name);
  const times = { ttlMs: 30_000, renew: false, minHoldMs: 0, maxHoldMs: Infinity };
  const request: LockRequest = { name, keys, nonce, owner, ...times };
  return {
    acquire: () => store.attempt(request),
    join: () => store.join(request, 1_000),
    renew: (ttlMs: number, generation: number) => store.renew(request, ttlMs, generation, 1_000),
    release: () => store.release(request, 0),
  };
}

describe('executed late', () => {
  it('a renewal does not cut an extension, nor draw out a shortening', async () => {
    const member = await bed.member();
    const lock = await member.locks.acquire('x', { ttlMs: 20_000, renew: false });
    const old = late(member, lock);
    await lock.extend(60_000);
    expect(await old.renew(20_000, 0)).toBe(true);
    expect(await pttl()).toBeGreaterThan(50_000);
    await lock.extend(5_000);
    expect(await old.renew(60_000, 1)).toBe(true);
    expect(await pttl()).toBeLessThanOrEqual(5_000);
    await lock.release();
    expect(await old.renew(60_000, 9)).toBe(false);
    expect(await bed.admin.exists('lock:x', '{lock:x}:~holder')).toBe(0);
  });

  it('a shortening does not cut the extension after it', async () => {
    const member = await bed.member();
    const lock = await member.locks.acquire('x', { owner: 'me', ttlMs: 20_000, renew: false });
    const record = await bed.admin.get('{lock:x}:~holder');
    const old = late(member, lock, record!.split(' ')[0]);
    await lock.extend(1_000);
    await lock.extend(60_000);
    expect(await old.renew(1_000, 1)).toBe(true);
    expect(await pttl()).toBeGreaterThan(50_000);
    expect(await lock.release()).toBe(true);
  });

  it('a repeated acquisition gets its own token, and does not cut an extension', async () => {
    const member = await bed.member();
    const lock = await member.locks.acquire('x', { ttlMs: 20_000, renew: false });
    const old = late(member, lock);
    expect(await old.acquire()).toMatchObject({ state: 'granted', token: lock.fencingToken });
    await lock.extend(60_000);
    expect(await old.acquire()).toMatchObject({ state: 'granted', token: lock.fencingToken });
    expect(await pttl()).toBeGreaterThan(50_000);
  });

  it('an acquisition after its own release holds the lock for a lease, and no longer', async () => {
    const [member, other] = [await bed.member(), await bed.listening()];
    const gone = late(member, { name: 'x', owner: 'gone' });
    expect(await gone.release()).toMatchObject({ released: false });
    expect(await gone.join()).toMatchObject({ state: 'granted' });
    const leftMs = await pttl();
    expect(leftMs).toBeGreaterThan(0);
    expect(leftMs).toBeLessThanOrEqual(30_000);
    await bed.admin.pexpire('lock:x', 300);
    expect((await other.locks.acquire('x', { waitMs: 5_000 })).held).toBe(true);
  });

  it('a release and a renewal of a given owner leave the lock of a client of another kind that calls itself the same', async () => {
    const member = await bed.member();
    const lock = await member.locks.acquire('x', { owner: 'worker-1', renew: false });
    const nonce = (await bed.admin.get('{lock:x}:~holder'))!.split(' ')[0];
    await bed.admin.del('lock:x', '{lock:x}:~holder');
    await bed.admin.set('lock:x', 'worker-1', 'PX', 5_000);
    const old = late(member, lock, nonce);
    expect(await old.renew(60_000, 0)).toBe(false);
    expect(await old.release()).toMatchObject({ released: false });
    expect(await pttl()).toBeLessThanOrEqual(5_000);
    expect(await bed.admin.get('lock:x')).toBe('worker-1');
  });
});

describe('an owner', () => {
  it('is refused if it is one that Sluice made', async () => {
    const locks = await bed.service();
    const { owner } = await locks.acquire('x');
    await expect(locks.acquire('y', { owner })).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  });
});

describe('a tick that was granted without an answer', () => {
  const tick = { method: 'Job.run', instantMs: 1_000, keepMs: 60_000 };

  it('is granted again to the same acquisition though its grant is over, until its run begins, and to no other', async () => {
    const member = await bed.member();
    const store = member.app.get<LockStore>(LOCK_STORE);
    const keys = new LockKeyCache(member.connections.keyspace).get('x');
    const times = { ttlMs: 30_000, renew: false, minHoldMs: 0, maxHoldMs: Infinity };
    const request = { name: 'x', keys, nonce: 'mine', owner: 'mine', ...times };
    expect(await store.attemptTick(request, tick)).toMatchObject({ state: 'granted' });
    const other = { ...request, nonce: 'other', owner: 'other' };
    expect(await store.attemptTick(other, tick)).toEqual({ state: 'pending' });
    await bed.admin.set('lock:x', 'theirs');
    expect(await store.attemptTick(request, tick)).toMatchObject({ state: 'busy' });
    await bed.admin.del('lock:x');
    expect(await store.attemptTick(request, tick)).toMatchObject({ state: 'granted' });
    expect(await store.beginTick(request, tick)).toBe(true);
    await bed.admin.del('lock:x');
    expect(await store.attemptTick(other, tick)).toEqual({ state: 'done' });
    expect(await store.attemptTick(request, tick)).toEqual({ state: 'done' });
    expect(await bed.admin.exists('lock:x')).toBe(0);
  });
});
