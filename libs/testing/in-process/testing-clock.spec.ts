import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { CacheService, LockService, QueueService } from '../../sluice/index.js';
import { SluiceTestingModule, TestingClock } from '../index.js';

let app: TestingModule;
let clock: TestingClock;
beforeEach(async () => {
  app = await Test.createTestingModule({ imports: [SluiceTestingModule.forRoot()] }).compile();
  await app.init();
  clock = app.get(TestingClock);
});
afterEach(() => app.close());

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('TestingClock.advance', () => {
  it('ends a lease that is not renewed, and keeps one that is', async () => {
    const locks = app.get(LockService);
    const short = await locks.acquire('short', { ttlMs: 30_000, renew: false });
    const renewed = await locks.acquire('renewed', { ttlMs: 30_000 });
    await clock.advance(29_000);
    expect(short.held).toBe(true);
    await clock.advance(2_000);
    expect([short.held, short.signal.aborted]).toEqual([false, true]);
    await clock.advance(600_000);
    expect(renewed.held).toBe(true);
    await expect(locks.tryAcquire('renewed')).resolves.toBeNull();
    await expect(locks.tryAcquire('short')).resolves.not.toBeNull();
    await renewed.release();
  });

  it('ends the wait for a busy lock, and grants one whose holder is over', async () => {
    const locks = app.get(LockService);
    await locks.acquire('busy', { ttlMs: 60_000, renew: false });
    const timeout = locks.acquire('busy', { waitMs: 10_000 }).catch((error: unknown) => error);
    await clock.advance(10_000);
    expect(await timeout).toMatchObject({ code: 'SLUICE_LOCK_TIMEOUT' });
    const patient = locks.acquire('busy', { waitMs: 600_000 });
    await clock.advance(60_000);
    expect((await patient).held).toBe(true);
    await (await patient).release();
  });

  it('aborts a body that is overdue', async () => {
    const locks = app.get(LockService);
    const body = locks
      .withLock('long', { maxHoldMs: 3_600_000, onOverdue: 'abort' }, ({ signal }) => {
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            reject(signal.reason as Error);
          });
        });
      })
      .catch((error: unknown) => error);
    await clock.advance(3_600_000 + 1_000);
    expect(await body).toMatchObject({ code: 'SLUICE_LOCK_LOST' });
  });

  it('lets cached values grow stale and expire, and back-offs end', async () => {
    const cache = app.get(CacheService);
    let loads = 0;
    const load = (): number => ++loads;
    const options = { ttlMs: 60_000, jitter: 0, earlyRefresh: 0, local: true } as const;
    await cache.getOrLoad('k', load, options);
    await clock.advance(59_000);
    await expect(cache.getOrLoad('k', load, options)).resolves.toBe(1);
    await clock.advance(2_000);
    await expect(cache.getOrLoad('k', load, options)).resolves.toBe(2);

    let fails = 0;
    const fail = (): never => {
      throw new Error(`failed ${++fails}`);
    };
    const backoff = { errorBackoffMs: 10_000 };
    await expect(cache.getOrLoad('f', fail, backoff)).rejects.toThrow('failed 1');
    await expect(cache.getOrLoad('f', fail, backoff)).rejects.toThrow('failed 1');
    await clock.advance(10_000);
    await expect(cache.getOrLoad('f', fail, backoff)).rejects.toThrow('failed 2');
  });

  it('ends a loader that takes too long', async () => {
    const cache = app.get(CacheService);
    const loading = cache
      .getOrLoad(
        'slow',
        ({ signal }) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', reject);
          }),
        {
          loaderTimeoutMs: 60_000,
        },
      )
      .catch((error: unknown) => error);
    await turn();
    await clock.advance(61_000);
    expect(await loading).toMatchObject({ code: 'SLUICE_CACHE_LOADER_TIMEOUT' });
  });

  it('makes delayed tasks due', async () => {
    const queue = app.get(QueueService);
    await queue.publish('orders', 1, { delayMs: 86_400_000 });
    await clock.advance(86_399_000);
    expect(await queue.counts('orders')).toMatchObject({ waiting: 0, delayed: 1 });
    await clock.advance(1_000);
    expect(await queue.counts('orders')).toMatchObject({ waiting: 1, delayed: 0 });
  });

  it('fires timers in their order, each at its own time', async () => {
    const fired: [string, number][] = [];
    const beganMs = clock.monoMs();
    const note = (name: string) => () => {
      fired.push([name, Math.round((clock.monoMs() - beganMs) / 1_000)]);
    };
    clock.timer(20_000, note('second'));
    clock.timer(10_000, () => {
      note('first')();
      clock.timer(5_000, note('set by the first'));
    });
    const cancel = clock.timer(12_000, note('cancelled'));
    clock.timer(40_000, note('not due'));
    cancel();
    await clock.advance(30_000);
    expect(fired).toEqual([
      ['first', 10],
      ['set by the first', 15],
      ['second', 20],
    ]);
  });

  it.each([-1, NaN, Infinity, '5' as never])('refuses %p', async (ms) => {
    await expect(clock.advance(ms)).rejects.toMatchObject({ code: 'SLUICE_BAD_OPTION' });
  });
});
