import { RedisUnavailableError } from '../redis/index.js';
import { SluiceError, isSluiceError, show } from '../weave/index.js';
import type { LockHolder } from './lock.inspection.js';

/** The lock was still held by another holder when the time to wait was over. */
export class LockTimeoutError extends SluiceError {
  constructor(
    /** The lock's name. */
    readonly lock: string,
    /** How long the call waited, in milliseconds. */
    readonly waitedMs: number,
    /** The holder at the end of the wait; undefined if the lock was just passing from one holder to the next. */
    readonly holder: LockHolder | undefined,
  ) {
    super('SLUICE_LOCK_TIMEOUT', `lock ${show(lock)} was not free within ${waitedMs} ms: ${describeHolder(holder)}`);
  }
}

/** Checks the code of the error, because the service may come from another copy of this package than the decorator. */
export function isLockTimeout(error: unknown): error is LockTimeoutError {
  return isSluiceError(error, 'SLUICE_LOCK_TIMEOUT');
}

/**
 * Redis did not answer, so the holder of the lock is unknown. If `action` is `'acquire'`, no work was run. The error's code is
 * that of every `RedisUnavailableError`, `SLUICE_REDIS_UNAVAILABLE`. Its `cause` is the error of the connection or the server.
 *
 * If `outcome` is `'unknown'`, Redis may have executed the request. A lock that was acquired in this way is released in the
 * background.
 */
export class LockUnavailableError extends RedisUnavailableError {
  constructor(
    /** The lock's name. */
    readonly lock: string,
    /** The action that Redis was asked for. */
    readonly action: 'acquire' | 'extend' | 'release',
    cause: RedisUnavailableError,
  ) {
    super(`could not ${action} lock ${show(lock)}: ${cause.message}`, cause.outcome, { cause, refusal: cause.refusal });
  }
}

/** What other clients could see of an acquisition that has ended. */
export interface EndedHold {
  readonly owner: string;
  /** When the lock was granted, on this machine's clock. */
  readonly since: Date;
}

/**
 * The lock was lost while it was held: its lease ended without a renewal (Redis out of reach, a blocked event loop, a paused
 * process), or its key was deleted or taken. Another process may have held it since. Only the fencing token protects what was
 * written after the loss.
 */
export class LockLostError extends SluiceError {
  /** The value that the lock's key had. */
  readonly owner: string;
  /** When the lock was granted, on this machine's clock. */
  readonly since: Date;

  constructor(
    /** The lock's name. */
    readonly lock: string,
    /** Why the lock is not held any more. */
    readonly reason: LockLossReason,
    { owner, since }: EndedHold,
  ) {
    super(
      'SLUICE_LOCK_LOST',
      `lock ${show(lock)}, held by ${show(owner)} since ${since.toISOString()}, is not held any more: ${LOST[reason]}`,
    );
    this.owner = owner;
    this.since = since;
  }
}

/**
 * Why a lock is not held any more:
 *
 * - `'expired'`: its lease ended before it could be renewed
 * - `'taken'`: Redis says that this acquisition does not hold the lock
 * - `'forced'`: it was taken away by a call of `forceRelease`
 * - `'overdue'`: it was held for longer than `maxHoldMs`, with `onOverdue: 'abort'`
 * - `'released'`: its own holder released it
 * - `'abandoned'`: the method returned an Observable, an async iterable or a stream, and nothing read it within `ttlMs`
 * - `'closed'`: the app shuts down
 */
export type LockLossReason = 'overdue' | 'expired' | 'taken' | 'forced' | 'released' | 'abandoned' | 'closed';

const LOST: Record<LockLossReason, string> = {
  expired: 'its lease ended before it could be renewed',
  taken: 'its key was deleted or taken',
  forced: 'it was taken away by forceRelease()',
  released: 'it was released',
  abandoned: 'nothing read the Observable, async iterable or stream that the method returned within its ttlMs',
  overdue: 'it was held for longer than maxHoldMs',
  closed: 'the app is shutting down',
};

/** The holder of a lock, as text for a message. */
export function describeHolder(holder: LockHolder | undefined): string {
  if (holder === undefined) return 'it is passing between holders';
  const since = holder.since === undefined ? '' : ` since ${holder.since.toISOString()}`;
  return holder.process === undefined
    ? `held by ${show(holder.owner)}, no Sluice process`
    : `held by ${show(holder.owner)} of process ${holder.process}${since}`;
}

/**
 * A fenced write was refused, because a newer holder of the lock has written the key before. Nothing was changed. This process
 * has lost its lock, even if it has not noticed.
 */
export class StaleTokenError extends SluiceError {
  constructor(
    /** The key. */
    readonly key: string,
    /** The token of the refused write. */
    readonly fencingToken: number,
    /** The newer token, which wrote the key last. */
    readonly seenToken: number,
  ) {
    super(
      'SLUICE_STALE_TOKEN',
      `${show(key)} was not written: token ${fencingToken} is older than ${seenToken}, which has written it since`,
    );
  }
}
