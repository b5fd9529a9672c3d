/**
 * Locks: `LockService` and `@WithLock`. One holder at a time in the whole fleet, waiters served first come, first served.
 *
 * - `decorators/` `@WithLock`
 * - `acquiring/` waiting for a lock, and being granted it
 * - `held/` one held lock and its lease
 * - `cron/` the ticks of `@Cron` methods
 * - `store/` keys and scripts: everything that is sent to Redis
 * - `observe/` channels, `stats()`, `inspect()`
 *
 * @see docs/internals/lock.md
 * @packageDocumentation
 */

export { currentLock } from './held/current-lock.js';
export type { FencedKeys, FencedOptions, FencedSetOptions } from './fenced-keys.js';
export {
  LOCK_CHANNELS,
  type LockAcquiredMessage,
  type LockForcedMessage,
  type LockLostMessage,
  type LockOverdueMessage,
  type LockMessage,
  type LockMessages,
  type LockReleasedMessage,
  type LockSkipReason,
  type LockSkippedMessage,
  type LockTimeoutMessage,
} from './observe/lock.channels.js';
export {
  LockLostError,
  LockTimeoutError,
  LockUnavailableError,
  StaleTokenError,
  type LockLossReason,
} from './lock.errors.js';
export type { LockHolder, LockInspection, LockWaiter } from './lock.inspection.js';
export { SluiceLockModule } from './lock.module.js';
export type { AcquireOptions, SluiceLockModuleOptions, LockTimes, TryAcquireOptions } from './lock.options.js';
export { LockService } from './lock.service.js';
export { LOCK_SERVICE } from './lock.tokens.js';
export { Lock } from './held/lock.js';
export type { LockCounts, LockStats, LockStatsOptions, NamedLockCounts } from './observe/lock.stats.js';
export type { RawLock } from './lock.raw.js';
export { WithLock } from './decorators/with-lock.decorator.js';
export type { OnBusy, WithLockOptions } from './decorators/with-lock.options.js';
