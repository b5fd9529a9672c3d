import { afterEach, expect, it } from '@jest/globals';
import { LockBed } from '../../../test/support/lock-bed.js';
import { until } from '../../../test/support/until.js';
import type { LockService } from '../index.js';

// Before the hooks of the bed: those close the apps, and need a Redis that answers.
afterEach(() => {
  bed.redis.resume();
});

const bed: LockBed = new LockBed();

/** Work that Redis leaves without an answer, until its lock is lost. */
const WORKS: readonly [name: string, work: (locks: LockService) => Promise<unknown>][] = [
  [
    'withLock',
    (locks) =>
      locks.withLock('x', { ttlMs: 200 }, async ({ signal }) => {
        bed.redis.pause();
        await until(() => signal.aborted, { what: 'the lock is lost' });
      }),
  ],
  [
    'await using',
    async (locks) => {
      await using lock = await locks.acquire('x', { ttlMs: 200 });
      bed.redis.pause();
      await until(() => !lock.held, { what: 'the lock is lost' });
      lock.assertHeld();
    },
  ],
];

it.each(WORKS)('the end of work whose lock is lost does not wait for a Redis that hangs: %s', async (_name, work) => {
  // With the default, the release is given up after five seconds.
  const { locks } = await bed.member({ commandTimeoutMs: 60_000 });
  let outcome: unknown;
  void work(locks).catch((error: unknown) => (outcome = error));
  await until(() => outcome, { what: 'it rejects', deadlineMs: 15_000 });
  expect(outcome).toMatchObject({ code: 'SLUICE_LOCK_LOST', reason: 'expired' });
  bed.redis.resume();
  expect((await locks.acquire('x')).held).toBe(true);
});
