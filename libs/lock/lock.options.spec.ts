import { describe, expect, it } from '@jest/globals';
import { LockBed } from '../../test/support/lock-bed.js';
import { CronJobs } from './cron/cron-jobs.js';
import { Lock, LockService, WithLock } from './index.js';
import { LOCK_STORE } from './lock.tokens.js';

const bed = new LockBed();

describe('options', () => {
  it('come from the name, then the call, then the module', async () => {
    const locks = await bed.service({
      lock: { ttlMs: 20_000, waitMs: 50, names: { tuned: { ttlMs: 5_000, waitMs: 0 } } },
    });
    const leases = async (name: string, ttlMs?: number): Promise<number> => {
      const lock = await locks.acquire(name, ttlMs === undefined ? undefined : { ttlMs });
      return Math.round((await bed.admin.pttl(`lock:${lock.name}`)) / 1_000);
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
    const locks = await bed.service();
    await expect(locks.acquire(name as string, options as object)).rejects.toMatchObject({ code });
    await expect(locks.tryAcquire(name as string, options as object)).rejects.toMatchObject({ code });
    await expect(locks.withLock(name as string, options as object, () => 0)).rejects.toMatchObject({ code });
    expect(await bed.admin.dbsize()).toBe(0);
  });

  it.each([
    [{ ttlMs: 0 }, 'lock.ttlMs'],
    [{ names: { x: { waitMs: -1 } } }, 'lock.names.x.waitMs'],
    [{ names: [] }, 'lock.names'],
    [{ tll: 1 }, 'lock.tll'],
  ])('refuses %j at boot', async (lock, message) => {
    const { app, connections } = await bed.member();
    expect(() => new LockService(connections, lock as object, app.get(LOCK_STORE), app.get(CronJobs))).toThrow(message);
  });

  it('refuses a lease that is no duration', async () => {
    const lock = await (await bed.service()).acquire('x');
    await expect(lock.extend(0)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    await expect(lock.extend(undefined as unknown as number)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    expect(lock.held).toBe(true);
  });

  it.each([
    ['order:undefined', "lock.names: lock name 'order:undefined' has the part 'undefined'"],
    ['{}', 'lock.names: lock name must be free of braces'],
  ])('of a name that no lock can have fail the boot: %s', async (name, message) => {
    await expect(bed.member({ lock: { names: { [name]: { waitMs: 0 } } } })).rejects.toMatchObject({
      code: 'SLUICE_BAD_OPTION',
      message: expect.stringContaining(message),
    });
  });

  it.each([5_000, 0, Number.NaN])('are an object, and not %p milliseconds', async (given) => {
    const ms = given as unknown as object;
    const locks = await bed.service();
    const refused = { code: 'SLUICE_BAD_OPTION', message: expect.stringContaining('such as { ttlMs: 5000 }') };
    await expect(locks.acquire('x', ms)).rejects.toMatchObject(refused);
    await expect(locks.tryAcquire('x', ms)).rejects.toMatchObject(refused);
    await expect(locks.withLock('x', ms, () => 0)).rejects.toMatchObject(refused);
    await expect(locks.oncePerTick('x', 1, ms, () => 0)).rejects.toMatchObject(refused);
  });

  it.each([
    [{ ttlMs: 9 }, 'ttlMs must be a number of milliseconds from 10 to 2147483647'],
    [{ ttlMs: 2_147_483_648 }, 'ttlMs must be a number of milliseconds from 10 to 2147483647'],
    [{ ttlMs: Infinity }, 'ttlMs'],
    [{ waitMs: 2_147_483_648 }, 'waitMs must be a number of milliseconds from 0 to 2147483647'],
    [{ minHoldMs: 3_155_760_000_001 }, 'minHoldMs must be a number of milliseconds from 0 to 3155760000000'],
    [{ maxHoldMs: 0 }, 'maxHoldMs must be a number of milliseconds from 1 to 3155760000000'],
    [{ onOverdue: 'kill' }, 'onOverdue'],
  ])('refuse the time %j', async (options, message) => {
    const locks = await bed.service();
    await expect(locks.acquire('x', options as object)).rejects.toThrow(message);
    expect(() => WithLock('x', options as object)).toThrow(message);
    await expect(bed.member({ lock: options as object })).rejects.toThrow(message);
    await expect(bed.member({ lock: { names: { x: options as object } } })).rejects.toThrow(message);
  });

  it('refuse a lease of a few milliseconds in extend, and long ones where a timer depends on them', async () => {
    const locks = await bed.service();
    const lock = await locks.acquire('x');
    await expect(lock.extend(9)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    await expect(lock.extend(2_147_483_648)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
    const year = 366 * 86_400_000;
    expect(await locks.raw.acquire('y', 'me', year)).toBe(1);
    expect(await locks.raw.extend('y', 'me', 2 * year)).toBe(1);
    expect(await bed.admin.pttl('lock:y')).toBeGreaterThan(year);
    await locks.fenced.set('k', 'v', lock.fencingToken, { ttlMs: year, rememberMs: year });
    expect(await bed.admin.pttl('k')).toBeGreaterThan(year - 600_000);
    expect(await bed.admin.pttl('{k}:~fenced')).toBeGreaterThan(year - 600_000);
  });
});
