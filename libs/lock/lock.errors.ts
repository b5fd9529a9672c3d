import { RedisUnavailableError } from '../redis/index.js';
import { SluiceError, isSluiceError, show } from '../weave/index.js';
import type { LockHolder } from './lock.inspection.js';

/** The lock was still held by another when the time to wait for it was over. */
export class LockTimeoutError extends SluiceError {
  constructor(
    /** The lock's name. */
    readonly lock: string,
    /** How long was waited, in milliseconds. */
    readonly waitedMs: number,
    /** Who held it at the end; undefined if it was just between two holders. */
    readonly holder: LockHolder | undefined,
  ) {
    super('SLUICE_LOCK_TIMEOUT', `lock ${show(lock)} was not free within ${waitedMs} ms: ${describeHolder(holder)}`);
  }
}

/** By its code: the service may come from another copy of this package than the decorator. */
export function isLockTimeout(error: unknown): error is LockTimeoutError {
  return isSluiceError(error, 'SLUICE_LOCK_TIMEOUT');
}

/**
 * Redis did not answer, so it is not known who holds the lock: nobody was asked to wait, nothing ran. Its code is that of every
 * `RedisUnavailableError`, `SLUICE_REDIS_UNAVAILABLE`; its `cause` is what the connection or the server said.
 *
 * `outcome` `'unknown'`: Redis may have done it. What was acquired that way is given back in the background.
 */
export class LockUnavailableError extends RedisUnavailableError {
  constructor(
    /** The lock's name. */
    readonly lock: string,
    /** What was asked for. */
    readonly action: 'acquire' | 'extend' | 'release',
    cause: RedisUnavailableError,
  ) {
    super(`could not ${action} lock ${show(lock)}: ${cause.message}`, cause.outcome, { cause, refusal: cause.refusal });
  }
}

/** How an acquisition that ended was known to others. */
export interface EndedHold {
  readonly owner: string;
  /** When it was granted, on this machine's clock. */
  readonly since: Date;
}

/**
 * The lock was lost while it was counted on: its lease ended unrenewed (Redis out of reach, a blocked event loop, a
 * paused process), or its key was deleted or taken. Somebody else may have held it since; only the fencing token
 * protects what was written after that.
 */
export class LockLostError extends SluiceError {
  /** Who held it: the value that the lock's key had. */
  readonly owner: string;
  /** Since when, on this machine's clock. */
  readonly since: Date;

  constructor(
    /** The lock's name. */
    readonly lock: string,
    /** What ended it. */
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
 * `'overdue'`: it was held for longer than `maxHoldMs`, under `onOverdue: 'abort'`. `'expired'`: its validity ended. `'taken'`: Redis says that it belongs to this acquisition no more. `'forced'`: somebody
 * called `forceRelease`. `'released'`: by its own holder. `'abandoned'`: the method returned an Observable, an async iterable or
 * a stream, and nothing read it within `ttlMs`. `'closed'`: the app shuts down.
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

/** Who holds a lock, in the words of a message. */
export function describeHolder(holder: LockHolder | undefined): string {
  if (holder === undefined) return 'it is passing between holders';
  const since = holder.since === undefined ? '' : ` since ${holder.since.toISOString()}`;
  return holder.process === undefined
    ? `held by ${show(holder.owner)}, no Sluice process`
    : `held by ${show(holder.owner)} of process ${holder.process}${since}`;
}

/**
 * A fenced write was refused: a newer holder of the lock has written there before. Nothing was changed; this process lost its
 * lock, whether or not it has noticed.
 */
export class StaleTokenError extends SluiceError {
  constructor(
    /** Which key was to be written. */
    readonly key: string,
    /** With which token. */
    readonly fencingToken: number,
    /** The newer one, that wrote it last. */
    readonly seenToken: number,
  ) {
    super(
      'SLUICE_STALE_TOKEN',
      `${show(key)} was not written: token ${fencingToken} is older than ${seenToken}, which has written it since`,
    );
  }
}
