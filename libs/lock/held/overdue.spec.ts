import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect, it } from '@jest/globals';
import { LockBed } from '../../../test/support/lock-bed.js';
import { until } from '../../../test/support/until.js';
import { LOCK_CHANNELS } from '../index.js';

const bed = new LockBed();

it('aborts a body that holds its lock for too long, and others get the lock', async () => {
  const [locks, other] = [await bed.service(), await bed.service()];
  const hung = locks.withLock('x', { ttlMs: 500, maxHoldMs: 100, onOverdue: 'abort' }, async ({ signal }) => {
    await new Promise((resolve) => {
      signal.addEventListener('abort', resolve);
    });
    // It does not end, and its lease is not renewed.
    expect((await other.acquire('x', { waitMs: 60_000 })).held).toBe(true);
  });
  await expect(hung).rejects.toMatchObject({ code: 'SLUICE_LOCK_LOST', reason: 'overdue' });
});

it('reports a run that outlives two periods of its schedule, and keeps its lock', async () => {
  const locks = await bed.service();
  const told: unknown[] = [];
  const listener = (message: unknown): void => void told.push(message);
  subscribe(LOCK_CHANNELS.overdue, listener);
  try {
    const tick = { method: 'Job.run', instantMs: 1, keepMs: 60_000, periodMs: 50 };
    const lock = await locks.acquireTick('x', tick, undefined);
    await until(() => told.length > 0, { what: 'it is reported' });
    expect(told).toEqual([expect.objectContaining({ name: 'x', maxHoldMs: 100 })]);
    expect(lock?.held).toBe(true);
  } finally {
    unsubscribe(LOCK_CHANNELS.overdue, listener);
  }
});
