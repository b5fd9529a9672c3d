import { SluiceError, isSluiceError } from '../weave/index.js';
import type { LockHolder } from './scripts/acquire.reply.js';

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
    super('SLUICE_LOCK_TIMEOUT', `lock '${lock}' was not free within ${waitedMs} ms: ${describe(holder)}`);
  }
}

/** By its code: the service may come from another copy of this package than the decorator. */
export function isLockTimeout(error: unknown): error is LockTimeoutError {
  return isSluiceError(error, 'SLUICE_LOCK_TIMEOUT');
}

/**
 * The lock was lost while it was counted on: its lease ended unrenewed (Redis out of reach, a blocked event loop, a
 * paused process), or its key was deleted or taken. Somebody else may have held it since; only the fencing token
 * protects what was written after that.
 */
export class LockLostError extends SluiceError {
  constructor(
    /** The lock's name. */
    readonly lock: string,
    readonly why: LostBecause,
  ) {
    super('SLUICE_LOCK_LOST', `lock '${lock}' is not held any more: ${LOST[why]}`);
  }
}

/**
 * `'expired'`: its validity ended. `'taken'`: Redis says that it belongs to this acquisition no more. `'released'`: by
 * its own holder. `'closed'`: the app shuts down.
 */
export type LostBecause = 'expired' | 'taken' | 'released' | 'closed';

const LOST: Record<LostBecause, string> = {
  expired: 'its lease ended before it could be renewed',
  taken: 'its key was deleted or taken',
  released: 'it was released',
  closed: 'the app is shutting down',
};

function describe(holder: LockHolder | undefined): string {
  if (holder === undefined) return 'it is passing between holders';
  const since = holder.since === undefined ? '' : ` since ${holder.since.toISOString()}`;
  return holder.process === undefined
    ? `held by '${holder.owner}', no Sluice process`
    : `held by '${holder.owner}' of process ${holder.process}${since}`;
}
