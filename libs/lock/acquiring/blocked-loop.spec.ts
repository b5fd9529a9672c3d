import { describe, expect, it } from '@jest/globals';
import { LockBed } from '../../../test/support/lock-bed.js';
import { until } from '../../../test/support/until.js';

const bed = new LockBed();

/** The event loop stands still, as in synchronous work. Longer than a heartbeat and a provisional grant of two seconds. */
function block(ms = 2_600): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe('a lock that was handed over survives a blocked event loop', () => {
  it('when its body begins with synchronous work', async () => {
    const [holder, waiter] = [await bed.listening(), await bed.listening()];
    const lock = await holder.locks.acquire('x');
    const next = waiter.locks.withLock('x', ({ fencingToken }) => {
      block();
      return fencingToken;
    });
    await bed.waiting(1);
    await lock.release();
    expect(await next).toBeGreaterThan(lock.fencingToken);
  });

  it('when other code blocks right after the grant', async () => {
    const [holder, waiter] = [await bed.listening(), await bed.listening()];
    const lock = await holder.locks.acquire('x');
    const next = waiter.locks.acquire('x');
    await bed.waiting(1);
    await lock.release();
    const granted = await next;
    block();
    expect(granted.held).toBe(true);
    await new Promise((resolve) => setImmediate(resolve));
    expect(granted.held).toBe(true);
    expect(await granted.release()).toBe(true);
  });

  it('when other code blocks before the grant is read: the waiter keeps its turn', async () => {
    const [holder, waiter] = [await bed.listening(), await bed.listening()];
    const lock = await holder.locks.acquire('x');
    const next = waiter.locks.acquire('x');
    await bed.waiting(1);
    const released = lock.release();
    // The release leaves at the end of this turn. Redis hands over while the loop stands still.
    setImmediate(block);
    await released;
    const { fencingToken } = await next;
    expect(String(fencingToken)).toBe(await bed.admin.get('{lock:x}:~fence'));
  });

  it('under a short lease: two thirds of it are left when the body begins', async () => {
    const [holder, waiter] = [await bed.listening(), await bed.listening()];
    for (let i = 0; i < 5; i++) {
      const lock = await holder.locks.acquire('x');
      const next = waiter.locks.acquire('x', { ttlMs: 1_200, renew: false });
      await bed.waiting(1);
      // The age of the last heartbeat differs from round to round.
      const silentMs = async (): Promise<number> => (await holder.locks.inspect('x'))?.waiters[0]?.silentMs ?? 0;
      await until(async () => (await silentMs()) >= 450 + i * 100, { what: 'the heartbeat is that old', everyMs: 5 });
      const from = performance.now();
      await lock.release();
      const granted = await next;
      const leftMs = granted.expiresAt - Date.now();
      // Less what this machine took to hand it over.
      expect(leftMs).toBeGreaterThan(500 - (performance.now() - from));
      await granted.release();
    }
  });
});
