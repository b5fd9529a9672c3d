import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, describe, expect, it } from '@jest/globals';
import { LockBed } from '../../../test/support/lock-bed.js';
import { until } from '../../../test/support/until.js';
import { LOCK_CHANNELS } from '../index.js';
import { channels } from './lock.channels.js';
import { LockTally } from './lock.stats.js';

const bed = new LockBed();

describe('stats', () => {
  it('counts what this process did, in total and by name', async () => {
    const [locks, other] = [await bed.service(), await bed.service()];
    const nothing = { acquired: 0, contended: 0, waitedMs: 0, heldMs: 0, lost: 0, timeouts: 0, skipped: 0, overdue: 0 };
    expect(locks.stats()).toEqual({ ...nothing, held: 0, waiting: 0, names: [] });

    const lock = await locks.acquire('x');
    await locks.withLock('y', () => {});
    const waiter = locks.acquire('x');
    // Redis knows of it a reply earlier.
    await until(() => locks.stats().waiting === 1, { what: 'it waits' });
    expect(locks.stats()).toMatchObject({ acquired: 2, contended: 1, timeouts: 0, held: 1, waiting: 1 });
    const from = performance.now();
    await until(() => performance.now() > from + 20, { what: '20 ms have passed', everyMs: 5 });
    await lock.release();
    await (await waiter).release();

    await bed.occupy('x');
    await expect(locks.acquire('x', { waitMs: 10 })).rejects.toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT' });
    await expect(locks.acquire('x', { waitMs: 0 })).rejects.toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT' });
    expect(await locks.tryAcquire('x')).toBeNull();
    const lost = await locks.acquire('z', { ttlMs: 30, renew: false });
    await until(() => !lost.held, { what: 'it has expired', everyMs: 5 });
    await lost.release();

    const stats = locks.stats({ by: 'acquired' });
    expect(stats).toMatchObject({ acquired: 4, contended: 4, timeouts: 2, lost: 1, held: 0, waiting: 0 });
    // 20 ms of the second holder, 10 of the timeout; both hands that held x, and z.
    expect(stats.waitedMs).toBeGreaterThanOrEqual(29);
    expect(stats.heldMs).toBeGreaterThanOrEqual(49);
    expect(
      stats.names.map(({ name, acquired, contended, timeouts, lost: l }) => [name, acquired, contended, timeouts, l]),
    ).toEqual([
      ['x', 2, 4, 2, 0],
      ['y', 1, 0, 0, 0],
      ['z', 1, 0, 0, 1],
    ]);
    const longestWaited = stats.names.reduce((a, b) => (b.waitedMs > a.waitedMs ? b : a));
    expect(locks.stats({ top: 1 }).names).toEqual([longestWaited]);
    expect(other.stats().acquired).toBe(0);
  });

  it('refuses what it does not count', async () => {
    const locks = await bed.service();
    expect(() => locks.stats({ by: 'speed' as 'lost' })).toThrow("stats.by must be one of 'acquired'");
    expect(() => locks.stats({ top: 0 })).toThrow('stats.top must be a whole number');
  });

  it('remembers the names in use and forgets the others, in bounded memory', () => {
    const tally = new LockTally(10);
    for (let i = 0; i < 1_000; i++) {
      tally.add('hot', 'acquired');
      tally.add(`order:${i}`, 'acquired');
    }
    expect(tally.totals.acquired).toBe(2_000);
    const names = tally.top(Infinity, 'acquired');
    expect(names.length).toBeLessThanOrEqual(20);
    expect(names[0]).toMatchObject({ name: 'hot', acquired: 1_000 });
    expect(new Set(names.map(({ name }) => name)).size).toBe(names.length);
  });
});

describe('the channels', () => {
  const heard: [string, unknown][] = [];
  const listener = (message: unknown, channel: string | symbol): void => void heard.push([String(channel), message]);
  afterEach(() => {
    for (const name of Object.values(LOCK_CHANNELS)) unsubscribe(name, listener);
    heard.length = 0;
  });

  it('tell what happens, where it happens', async () => {
    for (const name of Object.values(LOCK_CHANNELS)) subscribe(name, listener);
    const { locks } = await bed.listening();
    const lock = await locks.acquire('x', { owner: 'me' });
    const { owner, fencingToken } = lock;
    const about = { name: 'x', owner, fencingToken };
    await expect(locks.acquire('x', { waitMs: 0 })).rejects.toThrow();
    await locks.forceRelease('x');
    await until(() => !lock.held, { what: 'it is lost', everyMs: 1 });
    const again = await locks.acquire('x', { owner: 'me' });
    await again.release();
    await again.release();
    const holder = { owner: 'me', process: expect.any(String), since: expect.any(Date), fencingToken };
    const lost = { ...about, heldMs: expect.any(Number), reason: 'forced' };
    expect(heard).toEqual(
      expect.arrayContaining([
        ['sluice:lock:forced', { name: 'x', holder }],
        ['sluice:lock:lost', lost],
      ]),
    );
    expect(heard.filter(([channel]) => !/forced|lost/.test(channel))).toEqual([
      ['sluice:lock:acquired', { ...about, waitedMs: expect.any(Number) }],
      ['sluice:lock:timeout', { name: 'x', waitedMs: 0, holder }],
      ['sluice:lock:acquired', { ...about, fencingToken: again.fencingToken, waitedMs: expect.any(Number) }],
      ['sluice:lock:released', { ...about, fencingToken: again.fencingToken, heldMs: expect.any(Number) }],
    ]);
    expect(heard).toHaveLength(6);
  });

  it('get no message made for them while nobody subscribes', async () => {
    const locks = await bed.service();
    const published: string[] = [];
    const all = Object.values(channels);
    for (const channel of all) {
      channel.publish = () => void published.push(String(channel.name));
    }
    try {
      await locks.withLock('x', () => locks.forceRelease('x'));
    } catch {
      // Lost, if the message was fast.
    }
    for (const channel of all) Reflect.deleteProperty(channel, 'publish');
    expect(published).toEqual([]);
  });

  it('tell of an app that closes that its locks went back, not that they were lost', async () => {
    subscribe(LOCK_CHANNELS.lost, listener);
    subscribe(LOCK_CHANNELS.released, listener);
    const { app, locks } = await bed.member();
    await locks.acquire('x');
    await app.close();
    expect(heard.map(([channel]) => channel)).toEqual(['sluice:lock:released']);
    expect(locks.stats()).toMatchObject({ lost: 0, held: 0 });
  });
});
