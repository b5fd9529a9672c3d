import { AsyncLocalStorage } from 'node:async_hooks';
import { badResult, discardResult, holdUntilEnd, ongoingKind, type HeldResource } from '../../weave/index.js';
import type { Lock } from './lock.js';

const KEY = Symbol.for('sluice:current-lock');
const shared = globalThis as unknown as Record<symbol, AsyncLocalStorage<Lock> | undefined>;

/** All copies of the package in a process (ESM, CommonJS) share one storage. */
const storage: AsyncLocalStorage<Lock> = (shared[KEY] ??= new AsyncLocalStorage());

/**
 * The lock under which the running code runs: that of the innermost `@WithLock` method or `withLock` body around it. Undefined
 * outside of such a method or body.
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

export interface RunUnderOptions {
  /** The name of the method or call in messages, such as `'Shop.settle (@WithLock)'`. */
  readonly site: () => string;
  /** Called with a promise that resolves at the end of an ongoing result (an Observable, an async iterable, a stream). */
  readonly goesOn: (ended: Promise<void>) => void;
}

/**
 * Runs `body` under a lock that is held, and releases the lock on every exit. The call waits for the release, unless the lock is
 * gone: then there is nothing to release, and Redis may hang. An error of the body reaches the caller unchanged (`===`), and an
 * error of the release never replaces it. For an ongoing result, the lock stays held until the result has ended.
 *
 * @throws LockLostError when the lock was lost before the body began (the body does not run), or before the body returned
 * @throws SluiceError `SLUICE_BAD_RESULT` for a result with `subscribe` or `pipe` of which the end is unknown
 */
export async function runUnder<T>(
  lock: Lock,
  body: () => T | Promise<T>,
  { site, goesOn }: RunUnderOptions,
): Promise<T> {
  let ongoing = false;
  try {
    lock.assertHeld();
    lock.outer = storage.getStore();
    const result = await storage.run(lock, body);
    const kind = ongoingKind(result);
    if (kind === 'unknown') throw badResult(site(), kind, result);
    if (kind === undefined) {
      lock.assertHeld();
      return result;
    }
    if (!lock.held) discardResult(kind, result as object, lock.signal.reason);
    lock.assertHeld();
    const held = holdUntilEnd(kind, result as object, resourceOf(lock));
    ongoing = true;
    goesOn(held.ended);
    return held.result as T;
  } finally {
    if (!ongoing) {
      const released = lock.release().catch(() => {});
      if (!lock.isGone) await released;
    }
  }
}

function resourceOf(lock: Lock): HeldResource {
  return {
    signal: lock.signal,
    claimWithinMs: lock.ttlMs,
    assertHeld: () => {
      lock.assertHeld();
    },
    run: (body) => storage.run(lock, body),
    release: () => lock.release().catch(() => {}),
    abandon: () => {
      lock.abandoned();
    },
    timer: (ms, fire) => lock.timer(ms, fire),
  };
}
