import { ConfigurableModuleBuilder, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { WeaveModule } from '../weave/index.js';
import { CronJobs } from './cron-jobs.js';
import type { LockOptions } from './lock.options.js';
import { LockService } from './lock.service.js';
import { LOCK_OPTIONS, LOCK_SERVICE } from './lock.tokens.js';

const { ConfigurableModuleClass } = new ConfigurableModuleBuilder<LockOptions>({
  optionsInjectionToken: LOCK_OPTIONS,
})
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createLockOptions')
  .setExtras({ isGlobal: true }, (definition, { isGlobal }) => ({ ...definition, global: isGlobal }))
  .build();

/**
 * Locks alone: `LockService` and `@WithLock`. `SluiceModule` brings it along.
 *
 * @example
 * imports: [SluiceRedisModule.forRoot({ redis: { url: 'redis://localhost:6379' } }), SluiceLockModule.forRoot({})]
 */
@Module({
  imports: [WeaveModule, DiscoveryModule],
  providers: [
    CronJobs,
    { provide: LOCK_SERVICE, useClass: LockService },
    { provide: LockService, useExisting: LOCK_SERVICE },
  ],
  exports: [LOCK_SERVICE, LockService],
})
export class SluiceLockModule extends ConfigurableModuleClass {}
