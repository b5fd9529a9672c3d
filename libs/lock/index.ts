export { currentLock } from './current-lock.js';
export { LockLostError, LockTimeoutError, type LostBecause } from './lock.errors.js';
export { SluiceLockModule } from './lock.module.js';
export type { AcquireOptions, LockOptions, LockTimes, TryAcquireOptions } from './lock.options.js';
export { LockService } from './lock.service.js';
export { LOCK_SERVICE } from './lock.tokens.js';
export { Lock } from './lock.js';
export type { LockHolder } from './scripts/acquire.reply.js';
