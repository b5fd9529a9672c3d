import { beforeAll, describe, expect, it } from '@jest/globals';
import { commandDelta } from '../../test/support/command-delta.js';
import { LockBed } from '../../test/support/lock-bed.js';
import { redisCli, type RedisCli } from '../../test/support/redis-cli.js';

const bed = new LockBed();
let cli: RedisCli;
beforeAll(async () => {
  cli = redisCli(bed.redis.port);
});

const COMPARE_AND_DELETE =
  "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) else return 0 end";

describe('locks.raw', () => {
  it('acquires what redis-cli finds held, by that owner, for that long', async () => {
    const { raw } = await bed.service();
    expect(await raw.acquire('x', 'me', 30_000)).toBe(1);
    expect(await cli('GET', 'lock:x')).toBe('me');
    const ttl = Number(await cli('PTTL', 'lock:x'));
    expect(ttl).toBeGreaterThan(25_000);
    expect(ttl).toBeLessThanOrEqual(30_000);
    expect(await cli('SET', 'lock:x', 'cli', 'NX', 'PX', '1000')).toBeNull();
    expect(await raw.acquire('x', 'me', 30_000)).toBe(0);
    expect(await cli('EVAL', COMPARE_AND_DELETE, '1', 'lock:x', 'me')).toBe(1);
    expect(await raw.acquire('x', 'other', 30_000)).toBe(1);
  });

  it('acquires nothing that redis-cli holds, until it is released or expires', async () => {
    const { raw } = await bed.service();
    expect(await cli('SET', 'lock:x', 'cli', 'NX', 'PX', '60000')).toBe('OK');
    expect(await raw.acquire('x', 'me', 30_000)).toBe(0);
    expect(await cli('DEL', 'lock:x')).toBe(1);
    expect(await raw.acquire('x', 'me', 30_000)).toBe(1);
  });

  it('releases and extends what is its own, and no other', async () => {
    const { raw } = await bed.service();
    await cli('SET', 'lock:x', 'cli', 'PX', '60000');
    expect(await raw.release('x', 'me')).toBe(0);
    expect(await raw.extend('x', 'me', 1)).toBe(0);
    expect(Number(await cli('PTTL', 'lock:x'))).toBeGreaterThan(50_000);
    expect(await raw.extend('x', 'cli', 300_000)).toBe(1);
    expect(Number(await cli('PTTL', 'lock:x'))).toBeGreaterThan(290_000);
    expect(await raw.release('x', 'cli')).toBe(1);
    expect(await cli('EXISTS', 'lock:x')).toBe(0);
    expect(await raw.release('x', 'cli')).toBe(0);
    expect(await raw.extend('x', 'cli', 1_000)).toBe(0);
    expect(await cli('EXISTS', 'lock:x')).toBe(0);
  });

  it('touches the one key and nothing beside it, in the namespace', async () => {
    const { raw } = await bed.service({ namespace: 'shop' });
    await raw.acquire('x', 'me', 30_000);
    await raw.release('x', 'me');
    const { calls } = await commandDelta(bed.admin, async () => {
      await raw.acquire('x', 'me', 30_000);
      await raw.extend('x', 'me', 30_000);
      expect(await bed.admin.keys('*')).toEqual(['shop:lock:x']);
      await raw.release('x', 'me');
    });
    expect(calls).toMatchObject({ set: 1, get: 2, pexpire: 1, del: 1 });
    expect(await bed.admin.keys('*')).toEqual([]);
  });

  it.each([
    ['', 'me', 1_000, 'SLUICE_BAD_NAME'],
    ['x', '', 1_000, 'SLUICE_BAD_OPTION'],
    ['x', 7, 1_000, 'SLUICE_BAD_OPTION'],
    ['x', 'me', 0, 'SLUICE_BAD_OPTION'],
    ['x', 'me', undefined, 'SLUICE_BAD_OPTION'],
    ['x', 'me', '1000', 'SLUICE_BAD_OPTION'],
  ])('refuses name %j, owner %j, ttlMs %j', async (name, owner, ttlMs, code) => {
    const { raw } = await bed.service();
    await expect(raw.acquire(name, owner as string, ttlMs as number)).rejects.toMatchObject({ code });
    await expect(raw.extend(name, owner as string, ttlMs as number)).rejects.toMatchObject({ code });
    expect(await bed.admin.keys('*')).toEqual([]);
  });
});

describe('a client of the plain recipe and LockService', () => {
  it('exclude each other', async () => {
    const locks = await bed.service();
    const lock = await locks.acquire('x');
    expect(await cli('SET', 'lock:x', 'cli', 'NX', 'PX', '1000')).toBeNull();
    expect(await locks.raw.acquire('x', 'me', 1_000)).toBe(0);
    await lock.release();
    expect(await locks.raw.acquire('x', 'me', 60_000)).toBe(1);
    expect(await locks.tryAcquire('x')).toBeNull();
  });

  it('exclude each other in a namespace, by the key <namespace>:lock:<name> and no other', async () => {
    const locks = await bed.service({ namespace: 'shop' });
    const lock = await locks.acquire('x');
    expect(await cli('SET', 'shop:lock:x', 'cli', 'NX', 'PX', '1000')).toBeNull();
    await lock.release();
    expect(await cli('SET', 'shop:lock:x', 'cli', 'NX', 'PX', '60000')).toBe('OK');
    expect(await locks.tryAcquire('x')).toBeNull();
    expect(await cli('DEL', 'shop:lock:x')).toBe(1);
    // The key without the namespace is another lock.
    expect(await cli('SET', 'lock:x', 'cli', 'NX', 'PX', '60000')).toBe('OK');
    expect(await locks.tryAcquire('x')).not.toBeNull();
  });

  it.each([
    ['released', (): Promise<unknown> => cli('EVAL', COMPARE_AND_DELETE, '1', 'lock:x', 'cli')],
    ['expired', (): Promise<unknown> => cli('PEXPIRE', 'lock:x', '50')],
  ])('a foreign lock that is %s goes to our first waiter within a heartbeat', async (_how, ends) => {
    const locks = await bed.service();
    await cli('SET', 'lock:x', 'cli', 'NX', 'PX', '60000');
    const order: string[] = [];
    const first = locks.withLock('x', () => void order.push('first'));
    await bed.waiting(1);
    const second = locks.withLock('x', () => void order.push('second'));
    await bed.waiting(2);
    await ends();
    const from = performance.now();
    await Promise.all([first, second]);
    // A heartbeat is a second; ten times that on a busy machine.
    expect(performance.now() - from).toBeLessThan(10_000);
    expect(order).toEqual(['first', 'second']);
  });
});
