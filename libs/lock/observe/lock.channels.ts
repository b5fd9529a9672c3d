import { channel } from 'node:diagnostics_channel';
import type { LockLossReason } from '../lock.errors.js';
import type { LockHolder } from '../lock.inspection.js';

/** What every message about one acquisition of this process contains. */
export interface LockMessage {
  /** The lock's name, without the namespace. */
  readonly name: string;
  /** The value of the lock's key. */
  readonly owner: string;
  readonly fencingToken: number;
}

/** On `sluice:lock:acquired`: this process holds the lock. */
export interface LockAcquiredMessage extends LockMessage {
  /** From the call to the grant, in milliseconds. */
  readonly waitedMs: number;
}

/** On `sluice:lock:released`: the holder releases the lock. */
export interface LockReleasedMessage extends LockMessage {
  /** From the grant to the call of `release`, in milliseconds. */
  readonly heldMs: number;
}

/** On `sluice:lock:lost`: the lock is not held any more, although this process did not release it. */
export interface LockLostMessage extends LockReleasedMessage {
  readonly reason: LockLossReason;
}

/** On `sluice:lock:overdue`: the lock is held for longer than `maxHoldMs`. With `onOverdue: 'abort'` it is lost right after. */
export interface LockOverdueMessage extends LockMessage {
  readonly maxHoldMs: number;
}

/**
 * Why a call of a scheduler was skipped. `'done'`: another process has run this tick, or a later one. `'busy'`: the lock was
 * held, or others waited for it. `'missed'`: the tick was more than 25 hours ago. `'closing'`: this process shuts down.
 */
export type LockSkipReason = 'done' | 'busy' | 'missed' | 'closing';

/**
 * On `sluice:lock:skipped`: a scheduler called a method with `@WithLock` (or `locks.oncePerTick` was called), and it did not run.
 */
export interface LockSkippedMessage {
  /** The lock's name, without the namespace. */
  readonly name: string;
  /** `Class.method`; undefined for `locks.oncePerTick`. */
  readonly method: string | undefined;
  /** The scheduled instant; undefined for methods without instants, such as those with `@Interval`, and for `'missed'`. */
  readonly instant: Date | undefined;
  readonly reason: LockSkipReason;
  /** The holder of the lock, if the lock was busy. */
  readonly holder: LockHolder | undefined;
}

/** On `sluice:lock:timeout`: an acquisition of this process ended with a `LockTimeoutError`. */
export interface LockTimeoutMessage {
  readonly name: string;
  readonly waitedMs: number;
  /** The holder of the lock at the end, if there was one. */
  readonly holder: LockHolder | undefined;
}

/** On `sluice:lock:forced`: this process took the lock away from its holder, by `forceRelease`. */
export interface LockForcedMessage {
  readonly name: string;
  readonly holder: LockHolder;
}

/** The message of each channel. */
export interface LockMessages {
  'sluice:lock:acquired': LockAcquiredMessage;
  'sluice:lock:released': LockReleasedMessage;
  'sluice:lock:lost': LockLostMessage;
  'sluice:lock:overdue': LockOverdueMessage;
  'sluice:lock:skipped': LockSkippedMessage;
  'sluice:lock:timeout': LockTimeoutMessage;
  'sluice:lock:forced': LockForcedMessage;
}

/**
 * The names of the `node:diagnostics_channel` channels of locks. A message is published in the process where the event happens,
 * and is created only while the channel has a subscriber.
 *
 * Subscribers run at once, inside the lock's own code: keep them short. An error that a subscriber throws becomes an uncaught
 * exception, as with every such channel of Node; the lock does not notice it.
 *
 * @example
 * subscribeSluice(LOCK_CHANNELS.lost, ({ name, reason }) => alert(`${name}: ${reason}`));
 */
export const LOCK_CHANNELS = {
  acquired: 'sluice:lock:acquired',
  released: 'sluice:lock:released',
  lost: 'sluice:lock:lost',
  overdue: 'sluice:lock:overdue',
  skipped: 'sluice:lock:skipped',
  timeout: 'sluice:lock:timeout',
  forced: 'sluice:lock:forced',
} as const satisfies Record<string, keyof LockMessages>;

/** The channel objects: with them, publishing needs no look-up by name. */
export const channels = {
  acquired: channel(LOCK_CHANNELS.acquired),
  released: channel(LOCK_CHANNELS.released),
  lost: channel(LOCK_CHANNELS.lost),
  overdue: channel(LOCK_CHANNELS.overdue),
  skipped: channel(LOCK_CHANNELS.skipped),
  timeout: channel(LOCK_CHANNELS.timeout),
  forced: channel(LOCK_CHANNELS.forced),
};
