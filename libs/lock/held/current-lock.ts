import { AsyncLocalStorage } from 'node:async_hooks';
import type { Lock } from './lock.js';

const KEY = Symbol.for('sluice:current-lock');
const shared = globalThis as unknown as Record<symbol, AsyncLocalStorage<Lock> | undefined>;

/** One per process, however many copies (ESM, CommonJS) of the package were loaded. */
const storage: AsyncLocalStorage<Lock> = (shared[KEY] ??= new AsyncLocalStorage());

/**
 * The lock that the running code stands under: of the innermost `@WithLock` method or `withLock` body around it;
 * undefined outside of any.
 *
 * @example
 * @WithLock('daily_job')
 * async settle() {
 *   await this.ledger.write(rows, { fence: currentLock()?.fencingToken });
 * }
 */
export function currentLock(): Lock | undefined {
  return storage.getStore();
}

/**
 * Runs `body` under a lock that is held, and releases it on every exit. What the body throws comes back `===`; how
 * the release goes hides nothing.
 *
 * @throws LockLostError when the lock was lost before the body began, which then does not run; or before it returned: what it
 *   did was not protected
 */
export async function runUnder<T>(lock: Lock, body: () => T | Promise<T>): Promise<T> {
  try {
    lock.assertHeld();
    const result = await storage.run(lock, body);
    lock.assertHeld();
    return result;
  } finally {
    await lock.release().catch(() => {});
  }
}
