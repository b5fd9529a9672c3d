import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { hostname } from 'node:os';
import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { commandDelta } from '../../../test/support/command-delta.js';
import { LockBed } from '../../../test/support/lock-bed.js';
import { until } from '../../../test/support/until.js';
import { SluiceRedisModule, frame, systemClock } from '../../redis/index.js';
import { LOCK_CHANNELS, SluiceLockModule, type LockTimeoutError } from '../index.js';
import { EarlyForceReleases } from '../acquiring/early-force-releases.js';

const bed = new LockBed();

describe('inspect', () => {
  it('tells who holds a lock, where, since when, for how long, under which token, and who waits', async () => {
    const [a, b] = [await bed.listening(), await bed.listening()];
    expect(await a.locks.inspect('x')).toBeNull();
    const before = Date.now();
    const lock = await a.locks.acquire('x', { ttlMs: 60_000 });
    const controller = new AbortController();
    const waits = ['first', 'second'].map((owner) => b.locks.acquire('x', { owner, signal: controller.signal }));
    await bed.waiting(2);
    const { calls, result } = await commandDelta(bed.admin, () => b.locks.inspect('x'));
    expect(result).toMatchObject({ owner: lock.owner, kind: 'ours', host: hostname(), pid: process.pid, waiting: 2 });
    expect(result).toMatchObject({ fencingToken: lock.fencingToken, since: expect.any(Date) });
    const { since, ageMs, ttlMs, waiters } = result!;
    // The server's clock is this machine's.
    expect(since!.getTime()).toBeGreaterThanOrEqual(before - 1);
    expect(ageMs).toBeGreaterThanOrEqual(0);
    expect(ageMs).toBeLessThanOrEqual(Date.now() - before + 1);
    expect(ttlMs).toBeGreaterThan(50_000);
    expect(ttlMs).toBeLessThanOrEqual(60_000);
    expect(waiters.map(({ owner, host, pid }) => [owner, host, pid])).toEqual([
      ['first', hostname(), process.pid],
      ['second', hostname(), process.pid],
    ]);
    for (const waiter of waiters) {
      expect(waiter.since.getTime()).toBeGreaterThanOrEqual(since!.getTime());
      expect(waiter.ageMs).toBeLessThanOrEqual(ageMs!);
      expect(waiter.silentMs).toBeLessThan(3_000);
    }
    // Read only: one script, and nothing in it that writes.
    const { evalsha, eval: whole, ...inner } = calls;
    expect((evalsha ?? 0) + (whole ?? 0)).toBeGreaterThan(0);
    expect(
      Object.keys(inner).filter((name) => /^(set|del|z(add|rem|pop)|hset|hdel|pexpire|publish)/.test(name)),
    ).toEqual([]);
    controller.abort();
    await Promise.allSettled(waits);
  });

  it('grows old with the lock, on the clock of the server', async () => {
    const locks = await bed.service();
    await locks.acquire('x');
    const first = (await locks.inspect('x'))!;
    const later = await until(
      async () => {
        const now = (await locks.inspect('x'))!;
        return now.ageMs! > first.ageMs! + 20 && now;
      },
      { what: 'it has aged', everyMs: 10 },
    );
    expect(later.since).toEqual(first.since);
    expect(later.ttlMs).toBeLessThan(first.ttlMs);
  });

  it('knows of a foreign lock its owner and its lease, if it has one', async () => {
    const locks = await bed.service();
    await bed.admin.set('lock:x', 'cli');
    expect(await locks.inspect('x')).toEqual({
      owner: 'cli',
      kind: 'foreign',
      ttlMs: Infinity,
      waiting: 0,
      waiters: [],
    });
    await locks.raw.acquire('y', 'me', 5_000);
    const y = await locks.inspect('y');
    expect(y).toMatchObject({ owner: 'me', kind: 'foreign' });
    expect(y!.ttlMs).toBeLessThanOrEqual(5_000);
    await expect(locks.inspect('{')).rejects.toMatchObject({ code: 'SLUICE_BAD_NAME' });
  });

  it.each([
    ['whose owner was given', { owner: 'me' }],
    ['who extended its lease', {}],
  ])(
    'is not deceived by what an earlier holder left behind, %s; nor is a timeout, nor forceRelease',
    async (_, options) => {
      const { locks } = await bed.listening();
      const lock = await locks.acquire('x', { ...options, ttlMs: 40_000, renew: false });
      await lock.extend(60_000);
      const { signal } = lock;
      const forced: unknown[] = [];
      const hear = (message: unknown): void => void forced.push(message);
      subscribe(LOCK_CHANNELS.forced, hear);
      try {
        // As long as the record lasts.
        await bed.admin.set('lock:x', 'cli', 'PX', await bed.admin.pttl('lock:x'));
        expect(await bed.admin.exists('{lock:x}:~holder')).toBe(1);
        expect(await locks.inspect('x')).toMatchObject({ owner: 'cli', kind: 'foreign' });
        const error = (await locks.acquire('x', { waitMs: 0 }).catch((reason: unknown) => reason)) as LockTimeoutError;
        expect(error.holder).toEqual({ owner: 'cli' });
        expect(await locks.forceRelease('x')).toBe(true);
        expect(forced).toEqual([{ name: 'x', holder: { owner: 'cli' } }]);
        // It was not this one's lock that was taken away: it learns by asking that it is gone.
        await expect(lock.extend(60_000)).rejects.toMatchObject({ reason: 'taken' });
        expect(signal.reason).toMatchObject({ reason: 'taken' });
      } finally {
        unsubscribe(LOCK_CHANNELS.forced, hear);
      }
    },
  );

  it('shows the first hundred waiters and counts them all', async () => {
    const { locks } = await bed.listening();
    await bed.occupy('x');
    const waits = Array.from({ length: 120 }, () => locks.acquire('x', { waitMs: 300_000 }));
    const served = Promise.all(waits.map(async (wait) => (await wait).release()));
    await bed.waiting(120);
    const { waiting, waiters } = (await locks.inspect('x'))!;
    expect([waiting, waiters.length]).toEqual([120, 100]);
    await locks.forceRelease('x');
    await served;
  });
});

describe('forceRelease', () => {
  it('is false for a free lock', async () => {
    const locks = await bed.service();
    expect(await locks.forceRelease('x')).toBe(false);
    expect(await bed.admin.keys('*')).toEqual([]);
  });

  it('tells the holder at once, serves the next waiter, and raises the token', async () => {
    const [holder, operator, next] = [await bed.listening(), await bed.service(), await bed.listening()];
    const lock = await holder.locks.acquire('x', { ttlMs: 600_000 });
    const { signal } = lock;
    const waiter = next.locks.acquire('x');
    await bed.waiting(1);
    expect(await operator.forceRelease('x')).toBe(true);
    // In the same step: no heartbeat was needed.
    expect(await bed.admin.get('lock:x')).toMatch(/./);
    const successor = await waiter;
    expect(successor.fencingToken).toBeGreaterThan(lock.fencingToken);
    // Its renewal would be due after 200 s: only the push can have told.
    await until(() => signal.aborted, { what: 'the signal aborts', everyMs: 1 });
    expect(signal.reason).toMatchObject({ code: 'SLUICE_LOCK_LOST', reason: 'forced', lock: 'x', owner: lock.owner });
    expect(lock.held).toBe(false);
    await expect(lock.extend(60_000)).rejects.toMatchObject({ reason: 'forced' });
    expect(await lock.release()).toBe(false);
    expect(successor.held).toBe(true);
    expect(await bed.admin.get('lock:x')).toBe(successor.owner);
  });

  it('keeps the fence: tokens rise even where the clock is behind them', async () => {
    const { locks } = await bed.listening();
    const ahead = (Date.now() + 60_000) * 1_000;
    await bed.admin.set('{lock:x}:~fence', String(ahead));
    const lock = await locks.acquire('x');
    expect(lock.fencingToken).toBe(ahead + 1);
    await locks.forceRelease('x');
    const other = await bed.service();
    expect((await other.acquire('x')).fencingToken).toBe(ahead + 2);
  });

  it('fails the body that returns after it', async () => {
    const { locks } = await bed.listening();
    const body = locks.withLock('x', async ({ signal }) => {
      await locks.forceRelease('x');
      await until(() => signal.aborted, { what: 'the signal aborts', everyMs: 1 });
      return 'done';
    });
    await expect(body).rejects.toMatchObject({ code: 'SLUICE_LOCK_LOST', reason: 'forced' });
  });

  it('takes from the holder even where the message is lost: nothing it sends changes a thing', async () => {
    const [holder, operator] = [await bed.listening(), await bed.service()];
    const lock = await holder.locks.acquire('x', { ttlMs: 300 });
    expect(await bed.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')).toBeGreaterThan(0);
    expect(await operator.forceRelease('x')).toBe(true);
    await until(() => !lock.held, { what: 'its renewal tells', everyMs: 5 });
    expect(await bed.admin.exists('lock:x')).toBe(0);
    expect(await lock.release()).toBe(false);
  });

  it('takes a foreign lock away too, and one that never expires', async () => {
    const { locks } = await bed.listening();
    await bed.admin.set('lock:x', 'cli');
    const waiter = locks.acquire('x');
    await bed.waiting(1);
    expect(await locks.forceRelease('x')).toBe(true);
    expect((await waiter).held).toBe(true);
  });

  it('is known to who hears of it before it hears that it holds the lock, but does not end a later grant', () => {
    const forced = new EarlyForceReleases(systemClock);
    forced.add({ nonce: 'n', token: 7 });
    expect(forced.has('n', 7)).toBe(true);
    expect(forced.has('n', 8)).toBe(false);
    expect(forced.has('m', 7)).toBe(false);
  });

  it('ends a lock whose grant is still on its way', async () => {
    const { locks, connections } = await bed.listening();
    // The answer is held up until the lock has been taken away again.
    const { commands } = connections.get();
    const send = commands.send.bind(commands);
    let letGo = (): void => {};
    const gate = new Promise<void>((resolve) => (letGo = resolve));
    commands.send = (async (command: string, ...rest: unknown[]) => {
      const answer: unknown = await (send as (...args: unknown[]) => Promise<unknown>)(command, ...rest);
      await gate;
      return answer;
    }) as typeof commands.send;
    const call = locks.acquire('x');
    await until(async () => (await bed.admin.exists('lock:x')) === 1, { what: 'it is granted', everyMs: 2 });
    const { locks: operator } = await bed.member();
    await operator.forceRelease('x');
    // What is published after it arrives after it.
    const { inbox } = connections.get();
    const listener = new Promise((resolve) => {
      inbox.on('after', resolve);
    });
    await bed.admin.publish(inbox.channel, frame('after'));
    await listener;
    commands.send = send;
    letGo();
    const lock = await call;
    expect(lock.held).toBe(false);
    expect(() => {
      lock.assertHeld();
    }).toThrow(expect.objectContaining({ reason: 'forced' }));
  });
});

describe('at boot', () => {
  it('minds a server that may evict locks', async () => {
    await bed.admin.config('SET', 'maxmemory', '100mb');
    await bed.admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    try {
      const module = await Test.createTestingModule({
        imports: [
          SluiceRedisModule.forRoot({ redis: { url: bed.redis.url, strict: true } }),
          SluiceLockModule.forRoot({}),
        ],
      }).compile();
      await expect(module.init()).rejects.toMatchObject({ code: 'SLUICE_REDIS_UNFIT' });
    } finally {
      await bed.admin.config('SET', 'maxmemory', '0');
      await bed.admin.config('SET', 'maxmemory-policy', 'noeviction');
    }
  });
});
