import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { gate } from '../../../test/support/gate.js';
import { LockBed } from '../../../test/support/lock-bed.js';
import { until } from '../../../test/support/until.js';
import { LOCK_CHANNELS, type LockOverdueMessage } from '../index.js';

const bed = new LockBed();
const told: LockOverdueMessage[] = [];
const hear = (message: unknown): void => void told.push(message as LockOverdueMessage);

beforeEach(() => {
  subscribe(LOCK_CHANNELS.overdue, hear);
});

afterEach(() => {
  unsubscribe(LOCK_CHANNELS.overdue, hear);
  told.length = 0;
});

describe('a lock that is held for longer than maxHoldMs', () => {
  it('is lost under abort: its signal aborts, and others get the lock', async () => {
    const [locks, other] = [await bed.service(), await bed.service()];
    const ends = gate();
    const reasons: unknown[] = [];
    const hung = locks.withLock('x', { ttlMs: 500, maxHoldMs: 100, onOverdue: 'abort' }, async ({ signal }) => {
      signal.addEventListener('abort', () => reasons.push(signal.reason));
      // It does not end, and its lease is not renewed.
      await ends.opened;
    });
    const outcome = expect(hung).rejects.toMatchObject({ code: 'SLUICE_LOCK_LOST', reason: 'overdue' });
    await until(() => reasons.length > 0, { what: 'the signal aborts' });
    expect((await other.acquire('x', { waitMs: 60_000 })).held).toBe(true);
    ends.open();
    await outcome;
    expect(reasons).toEqual([expect.objectContaining({ reason: 'overdue' })]);
  });

  it('is renewed under warn, and told once: counted, published, in the log, and in the log when it ends', async () => {
    const { locks, connections } = await bed.member();
    const lines: unknown[] = [];
    for (const level of ['log', 'warn'] as const) {
      jest.spyOn(connections.logger, level).mockImplementation((line) => void lines.push(line));
    }
    const lock = await locks.acquire('x', { ttlMs: 2_000, maxHoldMs: 50 });
    const brief = await locks.acquire('y', { maxHoldMs: 50_000 });
    await until(() => told.length > 0, { what: 'it is reported' });
    const from = performance.now();
    await until(() => performance.now() > from + 4_000, { what: 'two leases have passed' });
    await brief.release();
    expect(await lock.release()).toBe(true);
    expect(told).toEqual([expect.objectContaining({ name: 'x', maxHoldMs: 50 })]);
    expect(locks.stats()).toMatchObject({ overdue: 1, lost: 0 });
    expect(lines).toEqual([
      "lock 'x' is still held after 50 ms (maxHoldMs)",
      expect.stringMatching(/^lock 'x', which was overdue, is released after \d{3,} ms$/),
    ]);
  });

  it.each([
    ['after two periods of its schedule, by default', undefined, 100],
    ['after maxHoldMs, where that is given', { maxHoldMs: 70 }, 70],
  ])('is reported of a tick %s, and keeps its lock', async (_when, options, maxHoldMs) => {
    const locks = await bed.service();
    const tick = { method: 'Job.run', instantMs: 1, keepMs: 60_000, periodMs: 50 };
    const lock = await locks.acquireTick('x', tick, options);
    await until(() => told.length > 0, { what: 'it is reported' });
    expect(told).toEqual([expect.objectContaining({ name: 'x', maxHoldMs })]);
    expect(lock?.held).toBe(true);
  });

  it('is reported of a job that runs once a year without a timer that overflows', async () => {
    const locks = await bed.service();
    const tick = { method: 'Job.run', instantMs: 1, keepMs: 60_000, periodMs: 366 * 86_400_000 };
    const lock = await locks.acquireTick('x', tick, undefined);
    const longest = await locks.acquire('y', { maxHoldMs: 3_155_760_000_000, minHoldMs: 3_155_760_000_000 });
    const brief = await locks.acquire('z', { maxHoldMs: 50 });
    await until(() => told.length > 0, { what: 'the brief one is reported' });
    expect(told.map(({ name }) => name)).toEqual(['z']);
    expect([lock?.held, longest.held, brief.held]).toEqual([true, true, true]);
    await longest.release();
    expect(await bed.admin.pttl('lock:y')).toBeGreaterThan(3_155_000_000_000);
  });
});
