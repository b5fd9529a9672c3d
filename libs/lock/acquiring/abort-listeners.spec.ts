import { getEventListeners } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { LockBed } from '../../../test/support/lock-bed.js';
import { onAbort } from './abort-listeners.js';

const bed = new LockBed();

/** After how many listeners Node warns of a leak; 0: never. (`getMaxListeners` of Node 20 throws if it is 0.) */
function maxListenersOf(signal: AbortSignal): unknown {
  const key = Object.getOwnPropertySymbols(signal).find(({ description }) =>
    /maxEventTargetListeners$/.test(description!),
  );
  return Reflect.get(signal, key!);
}

describe('many calls with one signal', () => {
  it('are one listener, wait and are aborted', async () => {
    const locks = await bed.service();
    const controller = new AbortController();
    await bed.occupy('x');
    const waits = Array.from({ length: 50 }, () => locks.acquire('x', { signal: controller.signal }));
    const tries = Array.from({ length: 50 }, () => locks.tryAcquire('x', { signal: controller.signal }));
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
    expect(await Promise.all(tries)).toEqual(tries.map(() => null));
    await bed.waiting(50);
    controller.abort('gone');
    for (const outcome of await Promise.allSettled(waits)) {
      expect(outcome).toEqual({ status: 'rejected', reason: 'gone' });
    }
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });

  it('leave no listener behind when they are granted', async () => {
    const locks = await bed.service();
    const { signal } = new AbortController();
    for (let i = 0; i < 20; i++) await locks.withLock('x', { signal }, () => 0);
    await (await locks.tryAcquire('x', { signal }))?.release();
    await locks.oncePerTick('x', 1, { signal }, () => 0);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('may listen to the signal of a lock', async () => {
    const locks = await bed.service();
    await locks.withLock('x', ({ signal }) => {
      expect(maxListenersOf(signal)).toBe(0);
    });
  });
});

it('calls each listener once, and none that has left', () => {
  const controller = new AbortController();
  const called: string[] = [];
  const leave = onAbort(controller.signal, () => called.push('left'));
  const again = onAbort(controller.signal, () => {
    called.push('first');
    again();
  });
  onAbort(controller.signal, () => called.push('second'));
  leave();
  leave();
  controller.abort();
  expect(called).toEqual(['first', 'second']);
});
