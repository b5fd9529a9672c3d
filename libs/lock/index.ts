export { currentLock } from './current-lock.js';
export type { FencedKeys, FencedOptions, FencedSetOptions } from './fenced-keys.js';
export { SluiceExceptionFilter } from './lock-exception.filter.js';
export {
  LOCK_CHANNELS,
  type LockAcquiredMessage,
  type LockForcedMessage,
  type LockLostMessage,
  type LockOverdueMessage,
  type LockMessage,
  type LockReleasedMessage,
  type LockTimeoutMessage,
} from './lock.channels.js';
export {
  LockLostError,
  LockTimeoutError,
  LockUnavailableError,
  StaleTokenError,
  type LockLossReason,
} from './lock.errors.js';
export type { LockInspection, LockWaiter } from './lock.inspection.js';
export { SluiceLockModule } from './lock.module.js';
export type { AcquireOptions, SluiceLockModuleOptions, LockTimes, TryAcquireOptions } from './lock.options.js';
export { LockService } from './lock.service.js';
export { LOCK_SERVICE } from './lock.tokens.js';
export { Lock } from './lock.js';
export type { LockCounts, LockStats, LockStatsOptions, NamedLockCounts } from './lock.stats.js';
export type { RawLock } from './raw-locks.js';
export type { LockHolder } from './scripts/acquire.reply.js';
export { WithLock } from './with-lock.decorator.js';
export type { OnBusy, WithLockOptions } from './with-lock.options.js';
